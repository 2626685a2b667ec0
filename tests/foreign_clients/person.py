"""The person whom an app sends to the server: signs in, reads the pages and agrees."""

from tests.conformance.client import Browser


class Person:
    """One of the demo's people with a browser of their own."""

    def __init__(self, server, username="user1"):
        self.server, self.username = server, username
        self.browser = Browser(server.url)

    def visit(self, url):
        """Open an address, sign in where that is asked for, and return where it led: a page, or
        the redirect to the app."""
        answer = self.browser.follow(self.browser.get(url))
        if answer.status_code == 200 and "/accounts/login/" in answer.url:
            answer = self.browser.submit(
                answer, "login", login=self.username, password=self.server.password
            )
            answer = self.browser.follow(answer)
        return answer

    def agree(self, authorization_url, **changes):
        """Let the app do what it asks for, and return the address the browser is sent to.

        `changes` go into the consent form; nobody is asked who agreed before.
        """
        answer = self.visit(authorization_url)
        if answer.status_code == 200:
            answer = self.browser.decide(answer, **changes)
        return sent_to(answer)

    def refuse(self, authorization_url):
        """Say no, and return the address the browser is sent to."""
        return sent_to(self.browser.decide(self.visit(authorization_url), allow=False))

    def let_device_in(self, verification_uri, user_code=None):
        """Type the code that a device shows, unless the address has it, and agree."""
        page = self.visit(verification_uri)
        typed = {"user_code": user_code} if user_code else {}
        page = self.browser.follow(self.browser.submit(page, "user_code", **typed))
        done = self.browser.follow(self.browser.submit(page, "action", "ticked"))
        assert done.status_code == 200, done.text

    def sign_out(self, end_session_url):
        """Agree to be signed out, and return the address the browser is sent to."""
        return sent_to(self.browser.decide(self.visit(end_session_url)))


def sent_to(answer):
    assert answer.is_redirect, (answer.status_code, answer.url, answer.text[-2000:])
    return answer.headers["Location"]
