"""Which back end checks passwords: what [login] backend says, made."""

from protocol.configuration import LdapSettings
from protocol.io import secret_file
from protocol.mistakes import MistakesFound
from proxyagent.config import ProxySetup
from proxyagent.login.custom import Custom
from proxyagent.login.identity import Backend, BackendUnusable


def make(setup: ProxySetup) -> Backend:
    """The back end that the file names. Raises BackendUnusable. Reads files, imports what is needed."""
    kind, _, rest = setup.configuration.login.backend.partition(":")
    try:
        match kind:
            case "htpasswd":
                from proxyagent.login.htpasswd import Htpasswd  # late: it needs bcrypt and argon2

                return Htpasswd(setup.file(rest), lower=setup.configuration.session.user_names == "lower")
            case "ldap":
                return _directory(setup, setup.configuration.ldap)
            case _:
                module, _, function = rest.partition(":")
                return Custom(module, function)
    except ModuleNotFoundError as error:
        extra = "ldap" if kind == "ldap" else "http"
        text = f'[login] needs {error.name}, which is not installed: pip install "one-login[{extra}]"'
        raise BackendUnusable(text) from None


def _directory(setup: ProxySetup, settings: LdapSettings) -> Backend:
    from proxyagent.login.directory import Directory  # late: it needs sansldap

    try:
        password = secret_file.read_line(setup.file(settings.password_file)) if settings.password_file else ""
    except MistakesFound as found:
        raise BackendUnusable(f"[ldap] password_file: {found}") from None
    return Directory(settings, _content(setup.file(settings.authority)), password)


def _content(path: str) -> str:
    """The certificates in a file; nothing for none."""
    if not path:
        return ""
    try:
        with open(path, encoding="ascii", errors="replace") as file:
            return file.read()
    except OSError as error:
        raise BackendUnusable(f"[ldap] authority {path}: {error.strerror or error}") from None
