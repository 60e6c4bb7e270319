"""What a network costs: parameters, multiplications, time and memory, measured on the device at hand."""

from terrazzo.profiling.counting import Operations, count_operations
from terrazzo.profiling.measuring import Measurement, Profile, measure
from terrazzo.profiling.settings import ProfileSettings
from terrazzo.profiling.stepping import StepCosts

__all__ = [
    "Measurement",
    "Operations",
    "Profile",
    "ProfileSettings",
    "StepCosts",
    "count_operations",
    "measure",
]
