"""ONNX Runtime behind the backend port; its errors become ours here."""

import threading
from contextlib import suppress

import numpy as np
import onnxruntime as ort

from skerry_core.bundle.manifest import DataType, Manifest, TensorSpec
from skerry_edge.inference.backend import DTYPES, ModelLoadError, ModelRunError, Session, Tensor, Tensors

_ORT_TYPES = {
    "tensor(bool)": DataType.BOOL,
    "tensor(int32)": DataType.INT32,
    "tensor(int64)": DataType.INT64,
    "tensor(float)": DataType.FP32,
    "tensor(double)": DataType.FP64,
}
_FATAL_ONLY = 4
_NOWHERE = "/dev/null/external-data-is-not-loaded"
# The first run is 2 to 30 times slower than the median (kernels are picked, arenas grow): traffic must not see it.
_WARM_UP_RUNS = 2


class OnnxBackend:
    """Makes CPU sessions. One intra-op thread: two hurt on a busy two-core node, and requests run in parallel."""

    def __init__(self) -> None:
        # What a site runs is its owner's business: no build of ONNX Runtime reports it to anybody.
        ort.disable_telemetry_events()

    def load(self, model: bytes, manifest: Manifest) -> Session:
        """See `Backend.load`."""
        options = ort.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        options.log_severity_level = _FATAL_ONLY
        # The arena never gives memory back; several models on a small node need it more than a run needs the 1 us.
        options.enable_cpu_mem_arena = False
        # ONNX Runtime would read external data from the working directory: bytes that nobody signed.
        options.add_session_config_entry("session.model_external_initializers_file_folder_path", _NOWHERE)
        try:
            session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # ONNX Runtime's errors share no public base class
            raise ModelLoadError("ModelNotLoadable", f"ONNX Runtime can't load the model: {error}"[:1000]) from error
        _check("input", session.get_inputs(), manifest.inputs)
        _check("output", session.get_outputs(), manifest.outputs)
        loaded = OnnxSession(session)
        _warm_up(loaded, manifest)
        return loaded


class OnnxSession:
    """A resident ONNX model."""

    def __init__(self, session: ort.InferenceSession) -> None:
        self._session = session
        self._outputs = [output.name for output in session.get_outputs()]
        self._running: set[ort.RunOptions] = set()
        self._lock = threading.Lock()

    def run(self, inputs: Tensors) -> dict[str, Tensor]:
        """See `Session.run`."""
        options = ort.RunOptions()
        with self._lock:
            self._running.add(options)
        try:
            return dict(zip(self._outputs, self._session.run(self._outputs, inputs, options), strict=True))
        except Exception as error:  # ONNX Runtime's errors share no public base class
            raise ModelRunError("ModelRunFailed", f"the model failed: {error}"[:1000]) from error
        finally:
            with self._lock:
                self._running.discard(options)

    def stop(self) -> None:
        """See `Session.stop`."""
        with self._lock:
            for options in self._running:
                with suppress(AttributeError):
                    options.terminate = True


def _check(side: str, found: list[ort.NodeArg], declared: tuple[TensorSpec, ...]) -> None:
    """The signed manifest is what clients are told and what requests are checked by, so it has to be true."""
    there = {argument.name: argument for argument in found}
    if set(there) != {spec.name for spec in declared}:
        raise ModelLoadError(
            "ManifestContradictsModel",
            f"the manifest's {side}s are {sorted(spec.name for spec in declared)}, the model's {sorted(there)}",
        )
    for spec in declared:
        argument = there[spec.name]
        if _ORT_TYPES.get(argument.type) != spec.datatype or not _same_shape(argument.shape, spec.shape):
            raise ModelLoadError(
                "ManifestContradictsModel",
                f"{side} {spec.name} is {spec.datatype} {list(spec.shape)} in the manifest, "
                f"{argument.type} {argument.shape} in the model",
            )


def _same_shape(found: list[int | str | None], declared: tuple[int, ...]) -> bool:
    """A model's symbolic dimension (a name, or none) fits any declared length; a fixed one fits only itself."""
    return len(found) == len(declared) and all(
        not isinstance(there, int) or there in (told, -1) for there, told in zip(found, declared, strict=True)
    )


def _warm_up(session: OnnxSession, manifest: Manifest) -> None:
    inputs = {
        spec.name: np.zeros([1 if length < 0 else length for length in spec.shape], DTYPES[spec.datatype])
        for spec in manifest.inputs
    }
    outputs: Tensors = {}
    try:
        for _ in range(_WARM_UP_RUNS):
            outputs = session.run(inputs)
    except ModelRunError as error:
        raise ModelLoadError("WarmUpFailed", f"the warm-up run failed: {error}") from error
    for spec in manifest.outputs:
        found = outputs[spec.name]
        if found.dtype != DTYPES[spec.datatype] or found.ndim != len(spec.shape):
            raise ModelLoadError(
                "WarmUpFailed", f"output {spec.name} is {found.dtype} of {found.ndim} dimensions, not as declared"
            )
