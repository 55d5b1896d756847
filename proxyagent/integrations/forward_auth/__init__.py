"""The endpoint that nginx, Traefik, Caddy and Envoy ask for each request. Needs the extra `http`."""
