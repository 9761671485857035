import threading

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from skerry_core.bundle.manifest import DataType, TensorSpec
from skerry_edge.inference.backend import ModelLoadError, ModelRunError
from skerry_edge.inference.onnx_backend import OnnxBackend
from tests.integration.inference import models
from tests.unit.inference.releases import manifest

X = np.arange(8, dtype=np.float32).reshape(2, 4)


def test_runs_what_was_loaded():
    session = OnnxBackend().load(models.good(), manifest())
    np.testing.assert_allclose(session.run({"x": X})["scores"], X @ models.WEIGHTS, rtol=1e-6)


def spec(**changes) -> TensorSpec:
    return TensorSpec(name="x", datatype=DataType.FP32, shape=(-1, 4)).model_copy(update=changes)


@pytest.mark.parametrize(
    "inputs",
    [
        (spec(name="y"),),
        (spec(datatype=DataType.FP64),),
        (spec(shape=(-1, 5)),),
        (spec(shape=(-1,)),),
        (spec(), spec(name="z")),
    ],
)
def test_a_manifest_that_is_not_true_is_refused(inputs):
    with pytest.raises(ModelLoadError) as refused:
        OnnxBackend().load(models.good(), manifest(inputs=inputs))
    assert refused.value.reason == "ManifestContradictsModel"


def test_a_declared_length_may_narrow_a_symbolic_one():
    OnnxBackend().load(models.good(), manifest(inputs=(spec(shape=(1, 4)),)))


@pytest.mark.parametrize("data", [b"", b"not a model", models.good()[:-40]])
def test_bytes_that_are_no_model_are_refused(data):
    with pytest.raises(ModelLoadError) as refused:
        OnnxBackend().load(data, manifest())
    assert refused.value.reason == "ModelNotLoadable"


def test_a_model_that_fails_its_warm_up_is_refused():
    nodes = [
        helper.make_node("Shape", ["x"], ["shape"]),
        helper.make_node("Mul", ["shape", "seven"], ["beyond"]),
        helper.make_node("Reshape", ["x", "beyond"], ["more"]),
        helper.make_node("MatMul", ["more", "weights"], ["scores"]),
    ]
    extra = [onnx.numpy_helper.from_array(np.array([7, 1], np.int64), "seven")]
    model = models._model(nodes, weights=models.WEIGHTS, extra=extra)
    with pytest.raises(ModelLoadError) as refused:
        OnnxBackend().load(model, manifest())
    assert refused.value.reason == "WarmUpFailed"


def test_unsigned_external_data_is_not_read(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "weights.bin").write_bytes(models.WEIGHTS.tobytes())
    model = onnx.load_model_from_string(models.good())
    weights = model.graph.initializer[0]
    weights.ClearField("raw_data")
    weights.data_location = TensorProto.EXTERNAL
    weights.external_data.add(key="location", value="weights.bin")
    with pytest.raises(ModelLoadError) as refused:
        OnnxBackend().load(model.SerializeToString(), manifest())
    assert refused.value.reason == "ModelNotLoadable"


def test_a_run_that_fails_says_so_and_the_next_one_runs():
    session = OnnxBackend().load(models.good(), manifest())
    with pytest.raises(ModelRunError):
        session.run({"x": X[:, :3]})
    assert session.run({"x": X})["scores"].shape == (2, 3)


def test_a_long_run_can_be_stopped_between_operators():
    session = OnnxBackend().load(models.endless_for_more_than_one_row(), manifest())
    failed = []

    def run() -> None:
        try:
            session.run({"x": X})
        except ModelRunError as error:
            failed.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    while thread.is_alive():
        session.stop()
    thread.join()
    assert [error.reason for error in failed] == ["ModelRunFailed"]
