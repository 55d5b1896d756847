// Reads and writes cookies with npm's jose and node-jose: one line of JSON in, one out.
//
//   {"library": "jose", "do": "seal", "key": base64url, "header": {...}, "body": text}  ->  {"token": text}
//   {"library": "jose", "do": "open", "key": base64url, "token": text}  ->  {"header": {...}, "body": text}
//   whatever a library throws  ->  {"error": text}
//
// Packages are found in the folder that NODE_PACKAGES names.

import { createRequire } from "node:module";
import { createInterface } from "node:readline";
import { pathToFileURL } from "node:url";

const require = createRequire(`${process.env.NODE_PACKAGES}/package.json`);
const jose = await import(pathToFileURL(require.resolve("jose")).href);
const nodeJose = require("node-jose");

const libraries = {
  jose: {
    async seal({ key, header, body }) {
      const made = new jose.CompactEncrypt(new TextEncoder().encode(body)).setProtectedHeader(header);
      return { token: await made.encrypt(Buffer.from(key, "base64url")) };
    },
    async open({ key, token }) {
      const found = await jose.compactDecrypt(token, Buffer.from(key, "base64url"), {
        keyManagementAlgorithms: ["dir"],
        contentEncryptionAlgorithms: ["A256CBC-HS512"],
      });
      return { header: found.protectedHeader, body: new TextDecoder().decode(found.plaintext) };
    },
  },
  "node-jose": {
    async seal({ key, header: { alg, enc, zip, ...fields }, body }) {
      const jwk = await nodeJose.JWK.asKey({ kty: "oct", k: key });
      const options = { format: "compact", contentAlg: enc, zip: zip ?? false, fields };
      const made = nodeJose.JWE.createEncrypt(options, { key: jwk, header: { alg }, reference: false });
      return { token: await made.update(Buffer.from(body)).final() };
    },
    async open({ key, token }) {
      const jwk = await nodeJose.JWK.asKey({ kty: "oct", k: key });
      const found = await nodeJose.JWE.createDecrypt(jwk).decrypt(token);
      return { header: found.header, body: found.payload.toString() };
    },
  },
};

for await (const line of createInterface({ input: process.stdin })) {
  const question = JSON.parse(line);
  let answer;
  try {
    answer = await libraries[question.library][question.do](question);
  } catch (error) {
    answer = { error: String(error) };
  }
  process.stdout.write(`${JSON.stringify(answer)}\n`);
}
