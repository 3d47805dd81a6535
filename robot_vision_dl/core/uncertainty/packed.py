"""What a GPU hands back of a batch: one float32 array (B, K), with all in it that was read of large tables.

A copy from a GPU waits for it, and each costs tens of microseconds. So what :class:`~.assess.Assessor` needs of a
prediction is put side by side on the device and fetched once; the rest of the assessment is small and stays in numpy.
"""
from typing import List, Optional, Sequence, Union

import numpy as np
import torch
from torch import nn

from ..networks.network import Prediction
from .assess import CalibratedModel, Products, check_probe
from .camera.probe import FaultProbe
from .ensemble import EnsemblePrediction
from .laplace import LaplacePredictive
from .ood.device_score import DeviceScore
from .ood.p_value import OodDetector


class LaplaceScales(nn.Module):
    """Features (B, F) -> :meth:`~.laplace.LaplacePredictive.scales`, where the tables are.

    Args:
        predictive: whose tables they are.
    """

    vectors: torch.Tensor
    last: torch.Tensor
    variances: torch.Tensor

    def __init__(self, predictive: LaplacePredictive) -> None:
        super().__init__()
        for name, values in (('vectors', predictive.vectors_a), ('last', predictive.last_of_a),
                             ('variances', predictive.variances)):
            self.register_buffer(name, torch.from_numpy(values.copy()))
        self._all_told = predictive.all_told

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Scales, float32 (B, C) or (B, K)."""
        squares = torch.addmm(self.last, features, self.vectors).square()
        if not self._all_told:
            elsewhere = features.square().sum(1, keepdim=True) + 1 - squares.sum(1, keepdim=True)
            squares = torch.cat([squares, elsewhere.clamp_min(0)], dim=1)
        return (squares @ self.variances).sqrt()


class ProbeSums(nn.Module):
    """Features of the stages side by side (B, F) -> :meth:`~.camera.probe.FaultProbe.sums`, where the tables are.

    Args:
        probe: whose tables they are.
    """

    matrix: torch.Tensor
    offsets: torch.Tensor

    def __init__(self, probe: FaultProbe) -> None:
        super().__init__()
        self.probe = probe
        for name, values in (('matrix', probe.stages), ('offsets', probe.offsets)):
            self.register_buffer(name, torch.from_numpy(values.copy()))

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Sums, float32 (B, K + H)."""
        return torch.addmm(self.offsets, features, self.matrix)


class PackedProducts(nn.Module):
    """Prediction -> (B, K): logits, then what products with large tables give; :meth:`unpack` takes it apart.

    Args:
        bundle: what is known about the network's errors.
    """

    def __init__(self, bundle: CalibratedModel) -> None:
        super().__init__()
        self._members = len(bundle.members)
        found = [one.ood for one in bundle.members or (bundle,) if one.ood is not None]
        self._has_scores = 0 < len(found) == max(1, self._members)
        self._detectors = [OodDetector(one) for one in found]
        self.scores = nn.ModuleList(DeviceScore(one.build_score()) for one in found)
        self.scales = None
        if bundle.laplace is not None and not self._members:
            self.scales = LaplaceScales(LaplacePredictive(bundle.laplace))
        self.faults = None
        if bundle.camera is not None and bundle.camera.probe is not None and not self._members:
            self.faults = ProbeSums(bundle.camera.probe)
        self._widths: Optional[List[int]] = None

    def forward(self, prediction: Union[Prediction, EnsemblePrediction]) -> torch.Tensor:
        """float32 (B, K), where the prediction is; nothing goes by way of the host."""
        columns = self._columns(prediction)
        self._widths = [column.shape[1] for column in columns]
        return torch.cat(columns, dim=1)

    def _columns(self, prediction: Union[Prediction, EnsemblePrediction]) -> List[torch.Tensor]:
        logits = prediction.logits.float()
        if isinstance(prediction, EnsemblePrediction):
            columns = [logits, *prediction.members.float().unbind(0)]
            read = zip(prediction.member_logits.float().unbind(0), prediction.member_features,
                       prediction.member_stages)
            return columns + [self._scored(place, z, f.float(), stages)
                              for place, (z, f, stages) in enumerate(read) if self._has_scores]
        features = prediction.features.float()
        columns = [logits]
        if self._has_scores:
            columns.append(self._scored(0, logits, features, prediction.stages))
        if self.scales is not None:
            columns.append(self.scales(features))
        if self.faults is not None:
            check_probe(self.faults.probe, prediction.stages)
            columns.append(self.faults(torch.cat([stage.float() for stage in prediction.stages], dim=1)))
        return columns

    def _scored(self, place: int, logits: torch.Tensor, features: torch.Tensor, stages: Sequence[torch.Tensor]
                ) -> torch.Tensor:
        self._detectors[place].check(stages)
        found: torch.Tensor = self.scores[place](logits, features, [stage.float() for stage in stages])
        return found

    def unpack(self, packed: np.ndarray) -> Products:
        """Views of an array (B, K) that :meth:`forward` has given."""
        assert self._widths is not None and packed.shape[1] == sum(self._widths)
        logits, *rest = np.split(packed, np.cumsum(self._widths)[:-1], axis=1)
        if self._members:
            return Products(logits, members=np.stack(rest[:self._members]), member_scores=tuple(rest[self._members:]))
        faults = rest.pop() if self.faults is not None else None
        return Products(logits, rest[0] if self._has_scores else None, rest[-1] if self.scales is not None else None,
                        fault_sums=faults)


class PackedOutputs(nn.Module):
    """Prediction -> (B, K): logits, features and stages side by side, for what is fitted to them."""

    def __init__(self) -> None:
        super().__init__()
        self._widths: Optional[List[int]] = None

    def forward(self, prediction: Union[Prediction, EnsemblePrediction]) -> torch.Tensor:
        """float32 (B, K), where the prediction is."""
        stages = prediction.stages if isinstance(prediction, Prediction) else ()
        columns = [one.float() for one in (prediction.logits, prediction.features, *stages)]
        self._widths = [column.shape[1] for column in columns]
        return torch.cat(columns, dim=1)

    def unpack(self, packed: np.ndarray) -> List[np.ndarray]:
        """Logits (B, C), features (B, F) and stages (B, F_s), views of an array (B, K)."""
        assert self._widths is not None and packed.shape[1] == sum(self._widths)
        return list(np.split(packed, np.cumsum(self._widths)[:-1], axis=1))
