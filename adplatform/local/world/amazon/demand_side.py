"""What rows of the demand-side platform are about, in words: orders, line items, creatives, and where ads were shown.

A campaign is an order there and an ad group a line item; their ids are texts.
"""

from collections.abc import Callable, Mapping
from typing import Any

from adplatform.local.world.amazon.accounts import Profile
from adplatform.local.world.amazon.atoms import Live
from adplatform.local.world.draws import number

_OF_PLACES: Mapping[str, tuple[str, str, str, str]] = {
    "supplySource": ("Amazon O&O", "Twitch", "Third Party Exchange", "Fire TV"),
    "site": ("amazon.com", "twitch.tv", "news.example", "imdb.com"),
    "placement": ("Above the fold", "Below the fold", "In-stream", "Unknown"),
    "placementSize": ("300x250", "728x90", "160x600", "1920x1080"),
    "deal": ("Open auction", "Sports preferred", "Open auction", "Premium video"),
    "dealId": ("", "DEAL-77A", "", "DEAL-12C"),
    "dealType": ("OPEN", "PREFERRED", "OPEN", "PROGRAMMATIC_GUARANTEED"),
    "country": ("US", "CA", "MX", "US"),
    "region": ("Washington", "Québec", "Jalisco", "Texas"),
    "city": ("Seattle", "Montréal", "Guadalajara", "Austin"),
    "postalCode": ("98101", "H2Y 1C6", "44100", "01001"),
    "dmaCode": ("819", "000", "000", "635"),
    "dmaName": ("Seattle-Tacoma", "", "", "Austin"),
    "browserName": ("Chrome", "Safari", "Firefox", "Silk"),
    "browserVersion": ("128.0", "17.5", "130.0.1", "127"),
    "deviceName": ("Desktop", "Phone", "Tablet", "Connected TV"),
    "environmentName": ("Web", "App", "Web", "App"),
    "operatingSystemName": ("Windows", "iOS", "Linux", "Fire OS"),
    "contentGenre": ("News", "Games", "Sports", "Drama"),
    "contentRating": ("TV-G", "TV-14", "TV-G", "TV-MA"),
    "contentTitle": ("Evening news", "Live stream", "The match", "Été indien"),
    "contentType": ("Episode", "Live", "Live", "Movie"),
    "frequencyGroupName": ("Video", "Video", "Display", "Display"),
    "targetDemographic": ("F18-34", "M18-34", "F35-54", "M35-54"),
    "segmentId": ("410022", "410023", "981", "982"),
    "segmentName": ("In-market: camping", "Lifestyle: outdoor", "Site visitors", "Purchased before"),
    "segmentClassCode": ("IN_MARKET", "LIFESTYLE", "PIXEL", "ASIN_PURCHASED"),
    "segmentSource": ("Amazon", "Amazon", "Advertiser", "Advertiser"),
    "segmentType": ("Behavioral", "Behavioral", "Remarketing", "Remarketing"),
    "targetingMethod": ("Included", "Included", "Excluded", "Included"),
    "simplifiedPath": ("SP", "DSP Display > SP", "SB > SP", "DSP Video > SB > SP"),
    "bidAdjustmentRule": ("Evenings", "Weekends", "Evenings", "Weekends"),
    "bidAdjustmentRuleId": ("BA-1", "BA-2", "BA-1", "BA-2"),
    "bidAdjustmentMatchedTerms": ("hour 18-22", "saturday", "hour 22-24", "sunday"),
    "bidAdjustmentMatchedTermIds": ("T-1", "T-2", "T-3", "T-4"),
}
_FIXED: Mapping[str, str] = {
    **dict.fromkeys(("orderStartDate", "lineItemStartDate"), "2026-01-01"),
    **dict.fromkeys(("orderEndDate", "lineItemEndDate"), "2026-12-31"),
    **dict.fromkeys(("lineItemComment", "lineItemComments", "orderExternalId", "lineItemExternalId"), ""),
    "lineItemType": "STANDARD_DISPLAY",
    "lineItemApprovalStatus": "APPROVED",
    "lineItemLanguageTargeting": "All",
    "creativeType": "Responsive e-commerce",
    "creativeSize": "300x250",
    "creativeLanguage": "English",
    "creativeWeight": "50",
    "conversionType": "All",
    "reportGranularity": "ASIN",
    "kindleDetailPageView": "0",
}
DIMENSIONS: Mapping[str, Callable[[Live, Profile], Any]] = {
    **{
        name: (lambda live, _, values=values: values[place_of(live) % 4])  # type: ignore[misc]
        for name, values in _OF_PLACES.items()
    },
    **{name: (lambda *_, value=value: value) for name, value in _FIXED.items()},
    "advertiserId": lambda _, profile: str(profile.id)[:9],
    "advertiserName": lambda _, profile: profile.name,
    "advertiserCountry": lambda _, profile: profile.country,
    "advertiserTimezone": lambda _, profile: profile.timezone,
    "entityId": lambda _, profile: profile.entity,
    "marketplace": lambda _, profile: profile.country,
    "segmentMarketplaceId": lambda _, profile: profile.marketplace,
    "orderCurrency": lambda _, profile: profile.currency,
    "orderId": lambda live, _: str(live.atom.target.group.campaign.id),
    "orderName": lambda live, _: live.atom.target.group.campaign.name,
    "orderBudget": lambda live, _: live.atom.target.group.campaign.budget,
    "proposalId": lambda live, _: f"P-{live.atom.target.group.campaign.index}",
    "omsProposalId": lambda live, _: f"P-{live.atom.target.group.campaign.index}",
    "lineItemId": lambda live, _: str(live.atom.target.group.id),
    "lineItemName": lambda live, _: live.atom.target.group.name,
    "lineItemStatus": lambda live, _: live.atom.target.group.status,
    "omsLineItemId": lambda live, _: f"L-{live.atom.target.group.campaign.index}",
    "creativeId": lambda live, _: str(live.atom.ad.id),
    "creativeAdId": lambda live, _: str(live.atom.ad.id),
    "creativeName": lambda live, _: live.atom.ad.product.name,
    "asin": lambda live, _: live.atom.ad.product.asin,
    "parentAsin": lambda live, _: live.atom.ad.product.asin,
    "featuredAsin": lambda live, _: live.atom.ad.product.asin,
    "brandName": lambda live, _: "Northwind",
    "productName": lambda live, _: live.atom.ad.product.name,
    "productCategory": lambda live, _: live.atom.ad.product.category,
    "productSubCategory": lambda live, _: live.atom.ad.product.category,
    "productGroup": lambda live, _: live.atom.ad.product.category,
    "supplySourceId": lambda live, _: 1000 + place_of(live),
    "frequencyGroupId": lambda live, _: 7_000_000_001 + place_of(live) // 2,
}


def place_of(live: Live) -> int:
    """Which of four places a click is of."""
    return number("area", live.atom.placement, below=4)
