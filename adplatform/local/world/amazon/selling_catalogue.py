"""The report types of the Selling Partner API that the server makes, beside those of ``selling``."""

from collections.abc import Mapping

from adplatform.local.world.amazon import selling_fulfilment, selling_promotions, selling_vendor
from adplatform.local.world.amazon.selling_served import Served

SERVED: Mapping[str, Served] = {**selling_fulfilment.SERVED, **selling_promotions.SERVED, **selling_vendor.SERVED}
