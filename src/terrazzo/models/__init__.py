"""Networks: torch only, no geography, no data."""

from terrazzo.models.architecture import ARCHITECTURES, Architecture, Network, build
from terrazzo.models.output import Output

__all__ = ["ARCHITECTURES", "Architecture", "Network", "Output", "build"]
