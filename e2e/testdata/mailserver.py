# A mail server that wants STARTTLS and a password, and keeps mails in a maildir:
#   mailserver.py PORT CERTIFICATE KEY MAILDIR USER PASSWORD
import asyncio
import ssl
import sys

from aiosmtpd.controller import Controller
from aiosmtpd.handlers import Mailbox
from aiosmtpd.smtp import AuthResult, LoginPassword

port, certificate, key, maildir, user, password = sys.argv[1:]


def check(server, session, envelope, mechanism, data):
    is_right = data == LoginPassword(user.encode(), password.encode())
    return AuthResult(success=is_right, handled=False)


context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
context.load_cert_chain(certificate, key)
Controller(
    Mailbox(maildir), hostname="127.0.0.1", port=int(port), tls_context=context,
    require_starttls=True, auth_required=True, authenticator=check,
).start()
asyncio.new_event_loop().run_forever()
