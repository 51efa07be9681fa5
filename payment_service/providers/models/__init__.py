from .event import AREA as AREA
from .event import BODY_PURPOSE as BODY_PURPOSE
from .event import OPEN as OPEN
from .event import ProviderEvent as ProviderEvent
from .link import ProviderLink as ProviderLink
from .standing import ProviderStanding as ProviderStanding
