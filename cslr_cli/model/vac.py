"""VAC and SMKD: a plain ResNet over single frames.

VAC, visual alignment constraint: Min et al., ICCV 2021. SMKD, self-mutual distillation: Hao et al., ICCV 2021.
They differ only in their classifiers, which are in the registry.
"""

from __future__ import annotations

from cslr_cli.model.backbone import ResNet
from cslr_cli.model.definition import NetworkDefinition

VAC = NetworkDefinition(ResNet)
VAC_SMKD = NetworkDefinition(ResNet)
