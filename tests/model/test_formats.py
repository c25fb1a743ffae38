"""The extension declares the format, and nothing else does."""

from pathlib import PurePath

import pytest

from penstock.errors import UnsupportedArtifact
from penstock.model.formats import EXTENSIONS, REMEDIES, format_of, usual_dtype


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("a.pkl", "pickle"),
        ("a.pickle", "pickle"),
        ("a.JOBLIB", "pickle"),
        ("a.skops", "skops"),
        ("a.v2.onnx", "onnx"),
        ("a.pt", "torchscript"),
        ("predictor.py", "predictor"),
        ("own.py", "predictor"),
    ],
)
def test_each_extension_has_one_format(name: str, kind: str) -> None:
    assert format_of(PurePath(name)) == kind


@pytest.mark.parametrize("name", ["model", "model.", ".pkl", "model.txt", "model.pkl.bak"])
def test_what_has_no_known_extension_is_told_the_known_ones(name: str) -> None:
    with pytest.raises(UnsupportedArtifact, match=r"none of \.pkl, \.pickle, \.joblib, \.skops, \.onnx, \.pt, \.py$"):
        format_of(PurePath(name))


@pytest.mark.parametrize(
    ("name", "remedy"),
    [
        ("net.keras", "export the model to ONNX"),
        ("net.h5", "export the model to ONNX"),
        ("net.pth", "torch.jit.script"),
        ("net.safetensors", "weights without a program"),
        ("trees.ubj", "scikit-learn wrapper"),
        ("trees.json", "load it in a predictor.py"),
        ("model.pkl.gz", "unpack it first"),
    ],
)
def test_a_format_that_is_not_served_comes_with_what_to_do(name: str, remedy: str) -> None:
    with pytest.raises(UnsupportedArtifact, match=remedy):
        format_of(PurePath(name))


def test_no_extension_is_both_served_and_refused() -> None:
    assert EXTENSIONS.keys() & REMEDIES.keys() == set()


def test_neural_networks_compute_in_single_precision() -> None:
    assert [usual_dtype(kind) for kind in ("pickle", "skops", "predictor", "onnx", "torchscript")] == [
        "float64"
    ] * 3 + ["float32"] * 2
