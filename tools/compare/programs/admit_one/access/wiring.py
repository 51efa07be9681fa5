from access.handlers import issue_access_codes
from orders_contract.topology import OrderPaid

HANDLERS = {OrderPaid: issue_access_codes}
