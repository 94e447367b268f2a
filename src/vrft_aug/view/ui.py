"""A page to drop a picture on: the answer, its reasoning, the boxes, and how samples vote. Needs Gradio."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vrft_aug.errors import UserError
from vrft_aug.view.guard import check_host

if TYPE_CHECKING:
    from PIL.Image import Image

    from vrft_aug.evaluation.predict import Predictor

CAUTION = "Not for clinical use without validation. What you drop here stays on this machine."


@dataclass(frozen=True)
class GivenImage:
    """A picture that is already open."""

    image: Image

    def open(self) -> Image:
        """A copy as RGB."""
        return self.image.convert("RGB")


def serve_ui(
    run: Path,
    task: str | None = None,
    samples: int = 8,
    host: str = "127.0.0.1",
    port: int = 7860,
    public: bool = False,
) -> None:
    """Open the page until interrupted; never a share link, no usage reports.

    Raises UserError without Gradio, for a folder that is no finished run, and where it may not listen.
    """
    check_host(host, public)
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
    try:
        import gradio  # noqa: F401
    except ImportError:
        raise UserError("vrft ui needs Gradio; run `pip install 'vrft-aug[ui]'`") from None
    from vrft_aug.evaluation.predict import load_predictor

    page = make_page(load_predictor(run, task), samples)
    try:
        page.launch(
            server_name=host,
            server_port=port,
            share=False,
            show_error=True,
            quiet=True,
            prevent_thread_lock=True,
        )
    except OSError as error:
        reason = " ".join(str(error).split())
        raise UserError(f"cannot listen on {host}:{port}: {reason}; try --port") from None
    print(f"http://{host}:{page.server_port}/  (Ctrl-C ends)", flush=True)
    page.block_thread()


def make_page(predictor: Predictor, samples: int) -> Any:
    """The Gradio page of a predictor."""
    import gradio

    def answer(image: Image | None) -> tuple[Image | None, str, str, dict[str, float] | None]:
        return (None, "", "", None) if image is None else answer_image(predictor, image, samples)

    with gradio.Blocks(title="VRFT-Aug", analytics_enabled=False) as page:
        gradio.Markdown("## Drop a picture")
        gradio.Textbox(predictor.task.question, label="Question", interactive=False)
        with gradio.Row():
            dropped = gradio.Image(type="pil", label="Picture", sources=["upload", "clipboard"])
            drawn = gradio.Image(label="Boxes", interactive=False, buttons=["download", "fullscreen"])
        # Text boxes, not Markdown or HTML: what a model writes is shown as it is.
        said = gradio.Textbox(label="Answer", interactive=False)
        reasoning = gradio.Textbox(label="Reasoning", interactive=False, lines=3)
        votes = gradio.Label(label=f"Votes of {samples} samples", num_top_classes=8)
        gradio.Markdown(CAUTION)
        dropped.change(answer, dropped, [drawn, said, reasoning, votes])
    return page


def answer_image(
    predictor: Predictor, image: Image, samples: int
) -> tuple[Image, str, str, dict[str, float]]:
    """The picture with boxes, the answer, the reasoning, and the share of the samples behind every answer."""
    from vrft_aug.evaluation.predict import picture_case
    from vrft_aug.perception.annotate import answer_words, draw_boxes

    case = picture_case("dropped", GivenImage(image))
    ((rollout,),) = predictor.rollouts([case])
    answer = predictor.answer(case, rollout)
    boxes = answer.value if isinstance(answer.value, tuple) else ()
    votes = predictor.votes(case, samples)
    drawn = draw_boxes(image, boxes, predictor.task.labels)
    shares = {said: count / samples for said, count in votes.items()}
    return drawn, answer_words(answer), answer.reasoning, shares
