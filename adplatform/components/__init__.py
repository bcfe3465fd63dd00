from adplatform.components.partner_push import PartnerPush as PartnerPush
