"""What people change from a page of the back office: small forms, each one transaction, then the page again.

A form carries a token that only our own pages know, so a page from elsewhere that is open in the same browser can show
a form like it but not a valid one. There are no passwords: who sits at this machine may press these buttons.
"""

import hmac
import re
import secrets
from collections.abc import Callable, Mapping
from urllib.parse import parse_qsl

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from kassette_host.backoffice import accounts
from kassette_host.backoffice.accounts import AccountDenied, Accounts

OPERATOR = "page"
_MAX_FORM = 1024
_MAX_DIGITS = 9


class Deeds:
    """POST /office/accounts/<id>/<deed>; `refused(status, text)` makes the page that says why not."""

    def __init__(self, kept: Accounts, refused: Callable[[int, str], Response]):
        self.token = secrets.token_urlsafe(24)
        self._refused = refused
        self._deeds: dict[str, Callable[[int, dict[str, str]], object]] = {
            "freeze": lambda account, form: kept.set_state(account, accounts.FROZEN, OPERATOR),
            "release": lambda account, form: kept.set_state(account, accounts.ACTIVE, OPERATOR),
            "new-stripe": lambda account, form: kept.renew_stripe(account, OPERATOR),
            "replace": lambda account, form: kept.replace_by_card(account, _number(form, "card"), OPERATOR),
            "offline-limit": lambda account, form: kept.set_offline_limit(account, _minor(form, "limit"), OPERATOR),
        }

    def routes(self) -> list[BaseRoute]:
        return [Route("/office/accounts/{account}/{deed}", self._do, methods=["POST"])]

    async def _do(self, request: Request) -> Response:
        deed = self._deeds.get(request.path_params["deed"])
        try:
            form = await _form(request)
            account = _number(request.path_params, "account")
            if deed is None:
                raise HTTPException(404, "there is no such thing to do")
            if not hmac.compare_digest(form.get("token", "").encode(), self.token.encode()):
                raise HTTPException(
                    403, "the form is not from one of these pages, or older than they are: load it again"
                )
            await run_in_threadpool(deed, account, form)
        except HTTPException as error:
            return self._refused(error.status_code, error.detail)
        except AccountDenied as denied:
            return self._refused(409, str(denied))
        return RedirectResponse("/office/accounts/%d" % account, 303)


async def _form(request: Request) -> dict[str, str]:
    """The fields of a form, the last of each name. Raises HTTPException."""
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > _MAX_FORM:
            raise HTTPException(413, "the form is too long")
    try:
        return dict(parse_qsl(body.decode("ascii"), keep_blank_values=True))
    except ValueError:
        raise HTTPException(400, "that is no form") from None


def _number(form: Mapping[str, str], name: str) -> int:
    text = form.get(name, "").strip()
    if not (text.isascii() and text.isdigit() and len(text) <= _MAX_DIGITS):
        raise HTTPException(400, "%s is a number" % name)
    return int(text)


def _minor(form: dict[str, str], name: str) -> int:
    """An amount as people write it, 12 or 12.50, in minor units."""
    found = re.fullmatch(r"([0-9]{1,7})(?:\.([0-9]{1,2}))?", form.get(name, "").strip())
    if found is None:
        raise HTTPException(400, "%s is an amount" % name)
    return int(found[1] + (found[2] or "").ljust(2, "0"))
