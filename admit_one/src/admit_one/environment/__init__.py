"""Settings from the environment: read once at the start, checked, and reported if wrong.

| Part | What it holds |
|---|---|
| `reading` | `Environment`, the base of a service's own settings: reads all, names every fault |
| `fields` | kinds of settings: numbers, lists, keys |
| `addresses` | kinds of settings: where the database, the broker and the mail server are |
| `urls` | reads a URL and writes one |
| `database_urls` | makes an entry of DATABASES of one |

A kind is an annotation: `RETRIES: Annotated[int, whole(1, 10)] = 3`.
"""

from .addresses import BrokerUrl as BrokerUrl
from .addresses import DatabaseUrl as DatabaseUrl
from .addresses import HostName as HostName
from .addresses import LimitsUrl as LimitsUrl
from .addresses import ListenDatabaseUrl as ListenDatabaseUrl
from .addresses import MailAddresses as MailAddresses
from .addresses import MailServer as MailServer
from .addresses import MailUrl as MailUrl
from .addresses import ManagementUrl as ManagementUrl
from .addresses import Sender as Sender
from .addresses import TasksBrokerUrl as TasksBrokerUrl
from .database_urls import LISTEN as LISTEN
from .database_urls import database as database
from .fields import Key as Key
from .fields import KeysById as KeysById
from .fields import Networks as Networks
from .fields import OptionalKey as OptionalKey
from .fields import PublicKeys as PublicKeys
from .fields import SecretText as SecretText
from .fields import Words as Words
from .fields import whole as whole
from .reading import Environment as Environment
from .reading import Reads as Reads
from .reading import Wrong as Wrong
from .reading import development as development
