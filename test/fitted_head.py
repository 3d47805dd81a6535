"""A head fitted to what a network gives, in a moment: a model that has learned, for tests that need one."""
import torch

from robot_vision_dl.core.networks.network import Network
from robot_vision_dl.evaluation.labelled_outputs import LabelledOutputs


def fit_head(network: Network, seen: LabelledOutputs, decay: float) -> None:
    """Logistic regression of the labels on the features by L-BFGS; ``decay`` of the squared weights."""
    x, y = torch.from_numpy(seen.features), torch.from_numpy(seen.labels)
    optimizer = torch.optim.LBFGS(network.head.parameters(), max_iter=50, line_search_fn='strong_wolfe')

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        loss = torch.nn.functional.cross_entropy(network.head(x), y) + decay * network.head.weight.square().sum()
        loss.backward()
        return loss
    optimizer.step(closure)
