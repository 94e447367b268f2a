"""One way to talk to a model behind an OpenAI-compatible HTTP interface: chat with pictures, retried, cached.

Used to evaluate such a model and to draft knowledge banks. The official `openai` client (the optional extra
`endpoint`) does the talking; this module words requests, keeps replies on disk and ends failures in one line.
"""

from __future__ import annotations

import base64
import hashlib
import io
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from vrft_aug.errors import UserError
from vrft_aug.files import write_text
from vrft_aug.nouns import ImageRef, Message

if TYPE_CHECKING:
    from openai import OpenAI

KEY_VARIABLE = "OPENAI_API_KEY"
RETRIES = 5  # after timeouts, lost connections, 408, 409, 429, 5xx; pauses grow, or are as Retry-After says
TIMEOUT = 300.0  # seconds for one reply


class RequestRefused(UserError):
    """The server is there and knows key and model, but does not take this request (400, 422, 501)."""


@dataclass(frozen=True)
class Reply:
    """What the model wrote; token counts are None where the server does not tell."""

    text: str
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    finished: bool = True  # False: cut at the token limit
    opened: bool = False  # the chat template had opened the thinking, so that the model only closed it


@dataclass(frozen=True)
class Endpoint:
    """A model at a URL such as `http://localhost:8000/v1` (`/v1` is added to a URL without a path).

    The key is read from the environment variable `key_env` when the first request is sent; a server of one's
    own needs none. It is neither cached nor shown. Safe to use from several threads.
    """

    url: str
    model: str
    key_env: str = KEY_VARIABLE
    cache: Path | None = None  # a folder of replies: the same request is not sent twice
    retries: int = RETRIES
    timeout: float = TIMEOUT

    def chat(
        self,
        messages: Sequence[Message],
        images: Sequence[ImageRef] = (),
        *,
        seed: int | None = None,
        temperature: float | None = None,
        max_tokens: int | None = None,
        schema: Mapping[str, Any] | None = None,
    ) -> Reply:
        """The model's reply; `images` fill the image parts of the messages in their order, as PNG.

        `temperature` 0 is greedy, None the server's default; `schema` is a JSON schema that the reply must
        follow, where the server knows how. Reasoning that a server splits off, or that a chat template has
        opened, comes back in `<think>` tags. Raises UserError for whatever the server refuses (RequestRefused
        where another request may do), and where it is not reached after all retries.
        """
        request: dict[str, Any] = {"model": self.model, "messages": _with_images(messages, images)}
        settings = {"seed": seed, "temperature": temperature, "max_tokens": max_tokens}
        request |= {name: value for name, value in settings.items() if value is not None}
        if schema is not None:
            request["response_format"] = {
                "type": "json_schema",
                "json_schema": {"name": "reply", "schema": dict(schema), "strict": True},
            }
        kept = self._kept(request)
        if kept is not None and (reply := _read(kept)) is not None:
            return _whole(reply)
        reply = self._ask(request)
        if kept is not None:
            write_text(kept, json.dumps(asdict(reply), ensure_ascii=False) + "\n")
        return _whole(reply)

    @property
    def base_url(self) -> str:
        """The URL that `/chat/completions` is appended to; UserError where it is no http(s) URL."""
        parts = urlsplit(self.url)
        if parts.scheme not in ("http", "https") or not parts.netloc:
            raise UserError(f"endpoint {self.url!r} is no URL; expected one like http://localhost:8000/v1")
        return self.url.rstrip("/") + ("" if parts.path.strip("/") else "/v1")

    @cached_property
    def _client(self) -> OpenAI:
        try:
            from openai import OpenAI
        except ImportError:
            raise UserError(
                "an endpoint needs the package openai; install it with `pip install 'vrft-aug[endpoint]'`"
            ) from None
        return OpenAI(
            base_url=self.base_url,
            api_key=os.environ.get(self.key_env) or "none",
            max_retries=self.retries,
            timeout=self.timeout,
        )

    def _kept(self, request: Mapping[str, Any]) -> Path | None:
        """Where the reply to a request lies: by a hash of URL and request, pictures included."""
        if self.cache is None:
            return None
        key = json.dumps([self.base_url, request], sort_keys=True).encode()
        name = hashlib.sha256(key).hexdigest()
        return self.cache / name[:2] / f"{name}.json"

    def _ask(self, request: dict[str, Any]) -> Reply:
        client = self._client
        import openai

        try:
            try:
                answer = client.chat.completions.create(**request)
            except openai.BadRequestError as error:
                # OpenAI's newer models have renamed the limit; other servers know the old name alone.
                if "max_tokens" not in request or "max_completion_tokens" not in str(error):
                    raise
                renamed = {k: v for k, v in request.items() if k != "max_tokens"}
                answer = client.chat.completions.create(
                    **renamed, max_completion_tokens=request["max_tokens"]
                )
            return _reply(answer)
        except openai.AuthenticationError as error:
            what = f"refuses the key ({error.status_code}); set the environment variable {self.key_env}"
        except openai.NotFoundError as error:
            what = f"does not know {self.model!r} ({_reason(error)}); check --model and the URL"
        except openai.APIStatusError as error:
            what = f"answers {error.status_code}: {_reason(error)}"
            if error.status_code in (400, 422, 501):
                raise RequestRefused(f"endpoint {self.base_url} {what}") from None
        except openai.APITimeoutError:
            what = f"gave no answer within {self.timeout:g} s, {self.retries + 1} times"
        except openai.APIConnectionError as error:
            what = f"is not reached: {_reason(error.__cause__ or error)}; is the server running?"
        except (openai.OpenAIError, ValueError, AttributeError, TypeError, IndexError):
            what = "answers something else than a chat completion; expected an OpenAI-compatible server"
        raise UserError(f"endpoint {self.base_url} {what}")


def _reply(answer: Any) -> Reply:
    choice = answer.choices[0]
    text = choice.message.content or ""
    if not isinstance(text, str):
        raise TypeError("content is no text")
    extra = choice.message.model_extra or {}
    reasoning = extra.get("reasoning_content") or extra.get("reasoning")
    if isinstance(reasoning, str) and "<think>" not in text:
        text = f"<think>{reasoning}</think>{text}"
    usage = answer.usage
    return Reply(
        text=text,
        prompt_tokens=usage.prompt_tokens if usage else None,
        completion_tokens=usage.completion_tokens if usage else None,
        finished=choice.finish_reason != "length",
    )


def _whole(reply: Reply) -> Reply:
    """The reply with the `<think>` that it closes and does not open: it stood at the end of the prompt."""
    before, closed, _ = reply.text.partition("</think>")
    if not closed or "<think>" in before:
        return reply
    return replace(reply, text=f"<think>{reply.text}", opened=True)


def _with_images(messages: Sequence[Message], images: Sequence[ImageRef]) -> list[dict[str, Any]]:
    """The messages in OpenAI's form, every `{"type": "image"}` replaced by the next picture."""
    left = iter(images)

    def part(given: Mapping[str, Any]) -> dict[str, Any]:
        if given["type"] != "image":
            return dict(given)
        return {"type": "image_url", "image_url": {"url": _data_url(next(left))}}

    return [
        {"role": m["role"], "content": c if isinstance(c := m["content"], str) else [part(p) for p in c]}
        for m in messages
    ]


def _data_url(image: ImageRef) -> str:
    """A PNG: no detail is lost on the way."""
    buffer = io.BytesIO()
    image.open().save(buffer, format="PNG")
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()


def _read(path: Path) -> Reply | None:
    try:
        return Reply(**json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):  # not there, or not ours: asked again
        return None


def _reason(error: BaseException) -> str:
    """The message of an error in one short line; the server's own where it has one."""
    body = getattr(error, "body", None)
    told = body.get("message") if isinstance(body, dict) else None
    text = " ".join(str(told or error).split())
    return text if len(text) <= 200 else text[:197] + "..."
