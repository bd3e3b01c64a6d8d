"""The network of the demo models in PyTorch: it computes what the core computes, and starts out copying."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from chatglm_bin_writer import DType, write_model
from demo_model import copying, weights
from demo_model.engine import Runner
from demo_model.model import Network, Shape
from demo_model.recipes import RECIPES, prepare

from chatglm_server.model_files.chatglm_bin import read_chatglm_bin

DEMO = Path(__file__).resolve().parent.parent / "models" / "demo-chatglm3.bin"


def test_the_core_says_what_the_network_says(tmp_path: Path) -> None:
    prepared = prepare(RECIPES["chatglm3"], 1, read_chatglm_bin(DEMO).tokenizer)
    torch.manual_seed(3)
    network = Network(replace(prepared.shape, layers=2))
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    path = tmp_path / "model.bin"
    write_model(path, replace(prepared.header, num_hidden_layers=2), prepared.tokenizer, network.tensors(), DType.F32)
    prompt = torch.randint(300, prepared.shape.vocab, (40,)).tolist()
    made = Runner(path, frozenset(), threads=1).generate(prompt, 20)
    with torch.no_grad():
        hidden = network(torch.tensor([prompt + made]))[0, len(prompt) - 1 : -1]
        logits = network.output_layer(hidden)
    chosen = logits.gather(1, torch.tensor(made)[:, None])[:, 0]
    assert torch.allclose(chosen, logits.max(dim=1).values, atol=1e-3)


def test_weights_come_back_from_a_file(tmp_path: Path) -> None:
    prepared = prepare(RECIPES["chatglm3"], 1, read_chatglm_bin(DEMO).tokenizer)
    torch.manual_seed(4)
    network, again = Network(prepared.shape), Network(prepared.shape)
    path = tmp_path / "model.bin"
    write_model(path, prepared.header, prepared.tokenizer, network.tensors(), DType.Q8_0)
    weights.load(again, path)
    for name, value in network.tensors().items():
        assert np.abs(again.tensors()[name] - value).max() <= np.abs(value).max() / 127, name


def test_a_new_network_repeats_what_it_has_read() -> None:
    torch.manual_seed(5)
    network = Network(Shape(vocab=1024, hidden=256, layers=5, heads=4, kv_heads=2, ffn=64))
    text = torch.randint(0, 1024, (4, 60))
    ids = torch.cat([text, torch.randint(0, 1024, (4, 60)), text], dim=1)

    def share() -> float:
        """How often the second reading of the text is foreseen, from its third token on."""
        with torch.no_grad():
            likely = network.output_layer(network(ids)).argmax(dim=-1)
        foreseen: float = (likely[:, 121:-1] == ids[:, 122:]).float().mean().item()
        return foreseen

    assert share() < 0.05
    copying.seed(network)
    assert share() > 0.6
