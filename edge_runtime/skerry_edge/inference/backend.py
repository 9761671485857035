"""The backend port: verified bytes in, a model that runs out. ONNX Runtime is its first adapter."""

from collections.abc import Mapping
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from skerry_core.bundle.manifest import DataType, Manifest
from skerry_core.errors import RetryError, UserMustActError

Tensor = NDArray[np.generic]
Tensors = Mapping[str, Tensor]

DTYPES: dict[DataType, np.dtype[np.generic]] = {
    DataType.BOOL: np.dtype(np.bool_),
    DataType.INT32: np.dtype(np.int32),
    DataType.INT64: np.dtype(np.int64),
    DataType.FP32: np.dtype(np.float32),
    DataType.FP64: np.dtype(np.float64),
}


class ModelLoadError(UserMustActError):
    """The backend can't run this model: `ModelNotLoadable`, `ManifestContradictsModel` or `WarmUpFailed`."""


class ModelRunError(RetryError):
    """One run failed; another request may fare better. Reason `ModelRunFailed`."""


class Session(Protocol):
    """One resident model. Threads may share it."""

    def run(self, inputs: Tensors) -> dict[str, Tensor]:
        """Run once: tensors by the manifest's input names to tensors by its output names; raises ModelRunError."""
        ...

    def stop(self) -> None:
        """Ask runs under way to give up soon; they raise ModelRunError, and so may later ones until `stop` returns."""
        ...


class Backend(Protocol):
    """Makes sessions."""

    def load(self, model: bytes, manifest: Manifest) -> Session:
        """Create a session from these very bytes, check it against the manifest and warm it up.

        Raises ModelLoadError.
        """
        ...
