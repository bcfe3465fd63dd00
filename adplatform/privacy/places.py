"""Short and full forms of the words in an address, for the address and state rules of ``amazon_ads`` and ``meta``.

Standards: USPS Publication 28, directionals, appendix C1 (street suffixes) and C2 (secondary units), for the US and for
the few suffixes shortened in every country; AFNOR NF Z10-011 for France, Canada Post, Royal Mail and everyday usage
elsewhere; ISO 3166-2 for states, provinces and regions. Algorithm: the audience normalisation of the Amazon Ads SDK and
of the AMC Uploader, whose published sample digests prevail over the standards where they differ.
"""

import re
from collections.abc import Mapping
from functools import cache

_NUMBER = {"NUMBER": "# NO NUM"}

_DIRECTIONS = {
    "N": "NORTH", "NE": "NORTHEAST", "E": "EAST", "SE": "SOUTHEAST",
    "S": "SOUTH", "SW": "SOUTHWEST", "W": "WEST", "NW": "NORTHWEST",
}  # fmt: skip

_EVERYWHERE = {
    "AVE": "AV AVEN AVENU AVENUE AVN AVNUE", "CIR": "CIRC CIRCL CIRCLE CRCL CRCLE", "CT": "COURT", "CTR": "CENTER",
    "DR": "DRIV DRIVE DRV", "HWY": "HIGHWAY HIGHWY HIWAY HIWY HWAY", "LN": "LANE",
    "PKWY": "PARKWAY PARKWY PKWAY PKY", "PL": "PLACE", "PLZ": "PLAZA PLZA", "RD": "ROAD",
    "SQ": "SQR SQRE SQU SQUARE", "ST": "STR STREET STRT", "TER": "TERR TERRACE",
}  # fmt: skip

# Without BOULEVARD, which Amazon leaves in full.
_US_ROADS = {
    "ALY": "ALLEE ALLEY ALLY", "BLVD": "BOUL BOULV", "BYP": "BYPA BYPAS BYPASS BYPS", "CIRS": "CIRCLES",
    "CRES": "CRESCENT CRSENT CRSNT", "CRSE": "COURSE", "CSWY": "CAUSEWAY CAUSWA", "CTS": "COURTS", "CURV": "CURVE",
    "DRS": "DRIVES", "EXPY": "EXP EXPR EXPRESS EXPRESSWAY EXPW", "EXT": "EXTENSION EXTN EXTNSN", "EXTS": "EXTENSIONS",
    "FWY": "FREEWAY FREEWY FRWAY FRWY", "JCT": "JCTION JCTN JUNCTION JUNCTN JUNCTON", "JCTS": "JCTNS JUNCTIONS",
    "LOOP": "LOOPS", "MTWY": "MOTORWAY", "OPAS": "OVERPASS", "OVAL": "OVL", "PATH": "PATHS", "PIKE": "PIKES",
    "PKWY": "PARKWAYS PKWYS", "PSGE": "PASSAGE", "RADL": "RAD RADIAL RADIEL", "RDS": "ROADS", "RTE": "ROUTE",
    "SKWY": "SKYWAY", "SPUR": "SPURS", "SQS": "SQRS SQUARES", "STRA": "STRAV STRAVEN STRAVENUE STRAVN STRVN STRVNUE",
    "STS": "STREETS", "TPKE": "TRNPK TURNPIKE TURNPK", "TRAK": "TRACK TRACKS TRK TRKS", "TRCE": "TRACE TRACES",
    "TRFY": "TRAFFICWAY", "TRL": "TRAIL TRAILS TRLS", "TRWY": "THROUGHWAY", "TUNL": "TUNEL TUNLS TUNNEL TUNNELS TUNNL",
    "UPAS": "UNDERPASS", "VIA": "VDCT VIADCT VIADUCT", "WALK": "WALKS", "WAY": "WY", "XING": "CROSSING CRSSNG",
    "XRD": "CROSSROAD", "XRDS": "CROSSROADS",
}  # fmt: skip

# C1 has MDW both as the short form of MEADOW and as a spelling of MEADOWS.
_US_LANDSCAPE = {
    "BCH": "BEACH", "BLF": "BLUF BLUFF", "BLFS": "BLUFFS", "BND": "BEND", "BR": "BRANCH BRNCH", "BRK": "BROOK",
    "BRKS": "BROOKS", "BTM": "BOT BOTTM BOTTOM", "BYU": "BAYOO BAYOU", "CLF": "CLIFF", "CLFS": "CLIFFS", "CPE": "CAPE",
    "CRK": "CREEK", "CRST": "CREST", "CV": "COVE", "CVS": "COVES", "CYN": "CANYN CANYON CNYN", "DL": "DALE",
    "DV": "DIV DIVIDE DVD", "FLD": "FIELD", "FLDS": "FIELDS", "FLS": "FALLS", "FLT": "FLAT", "FLTS": "FLATS",
    "FRD": "FORD", "FRDS": "FORDS", "FRK": "FORK", "FRKS": "FORKS", "FRST": "FOREST FORESTS", "GLN": "GLEN",
    "GLNS": "GLENS", "GRN": "GREEN", "GRNS": "GREENS", "GRV": "GROV GROVE", "GRVS": "GROVES", "HL": "HILL",
    "HLS": "HILLS", "HOLW": "HLLW HOLLOW HOLLOWS HOLWS", "HTS": "HEIGHTS HT", "HVN": "HAVEN", "INLT": "INLET",
    "IS": "ISLAND ISLND", "ISLE": "ISLES", "ISS": "ISLANDS ISLNDS", "KNL": "KNOL KNOLL", "KNLS": "KNOLLS",
    "KY": "KEY", "KYS": "KEYS", "LF": "LOAF", "LK": "LAKE", "LKS": "LAKES", "MDW": "MEADOW",
    "MDWS": "MDW MEADOWS MEDOWS", "MT": "MNT MOUNT", "MTN": "MNTAIN MNTN MOUNTAIN MOUNTIN MTIN",
    "MTNS": "MNTNS MOUNTAINS", "NCK": "NECK", "PLN": "PLAIN", "PLNS": "PLAINS", "PNE": "PINE", "PNES": "PINES",
    "PR": "PRAIRIE PRR", "PT": "POINT", "PTS": "POINTS", "RDG": "RDGE RIDGE", "RDGS": "RIDGES", "RIV": "RIVER RIVR RVR",
    "RPD": "RAPID", "RPDS": "RAPIDS", "SHL": "SHOAL", "SHLS": "SHOALS", "SHR": "SHOAR SHORE", "SHRS": "SHOARS SHORES",
    "SMT": "SUMIT SUMITT SUMMIT", "SPG": "SPNG SPRING SPRNG", "SPGS": "SPNGS SPRINGS SPRNGS", "STRM": "STREAM STREME",
    "VIS": "VIST VISTA VST VSTA", "VLY": "VALLEY VALLY VLLY", "VLYS": "VALLEYS", "VW": "VIEW", "VWS": "VIEWS",
    "WL": "WELL", "WLS": "WELLS",
}  # fmt: skip

_US_SITES = {
    "ANX": "ANEX ANNEX ANNX", "ARC": "ARCADE", "BG": "BURG", "BGS": "BURGS", "BRG": "BRDGE BRIDGE", "CLB": "CLUB",
    "CMN": "COMMON", "CMNS": "COMMONS", "COR": "CORNER", "CORS": "CORNERS", "CP": "CAMP CMP",
    "CTR": "CEN CENT CENTR CENTRE CNTER CNTR", "CTRS": "CENTERS", "DM": "DAM", "EST": "ESTATE", "ESTS": "ESTATES",
    "FRG": "FORG FORGE", "FRGS": "FORGES", "FRY": "FERRY FRRY", "FT": "FORT FRT", "GDN": "GARDEN GARDN GRDEN GRDN",
    "GDNS": "GARDENS GRDNS", "GTWY": "GATEWAY GATEWY GATWAY GTWAY", "HBR": "HARB HARBOR HARBR HRBOR",
    "HBRS": "HARBORS", "LCK": "LOCK", "LCKS": "LOCKS", "LDG": "LDGE LODG LODGE", "LGT": "LIGHT", "LGTS": "LIGHTS",
    "LNDG": "LANDING LNDNG", "ML": "MILL", "MLS": "MILLS", "MNR": "MANOR", "MNRS": "MANORS",
    "MSN": "MISSION MISSN MSSN", "ORCH": "ORCHARD ORCHRD", "PARK": "PARKS PRK", "PRT": "PORT", "PRTS": "PORTS",
    "RNCH": "RANCH RANCHES RNCHS", "RST": "REST", "STA": "STATION STATN STN", "TRLR": "TRAILER TRLRS",
    "UN": "UNION", "UNS": "UNIONS", "VL": "VILLE", "VLG": "VILL VILLAG VILLAGE VILLG VILLIAGE", "VLGS": "VILLAGES",
}  # fmt: skip

_US_UNITS = {
    "APT": "APARTMENT", "BLDG": "BUILDING", "BSMT": "BASEMENT", "DEPT": "DEPARTMENT", "FL": "FLOOR", "FRNT": "FRONT",
    "HNGR": "HANGAR HANGER", "LBBY": "LOBBY", "LOWR": "LOWER", "OFC": "OFFICE", "PH": "PENTHOUSE", "RM": "ROOM",
    "SPC": "SPACE", "STE": "SUITE", "UPPR": "UPPER",
}  # fmt: skip

_CANADA = {"CRES": "CRESCENT", "CT": "CRT", "E": "EST", "N": "NORD", "O": "OUEST", "S": "SUD"}

_BRITAIN = {"CLOSE": "CL", "CRESCENT": "CRES CRESC", "GARDENS": "GDNS", "GROVE": "GRO GRV"}

_GERMANY = {"NUMBER": "NR", "PLATZ": "PL", "STRASSE": "STR"}

_FRANCE = {
    "ALLÉE": "ALL ALLEE", "APPARTEMENT": "APP APPT", "BOULEVARD": "BD BLD BVD", "BÂTIMENT": "BAT BATIMENT BÂT",
    "CHEMIN": "CHE CHEM", "COURS": "CRS", "FAUBOURG": "FBG FG", "IMPASSE": "IMP", "LIEU-DIT": "LD LIEUDIT",
    "LOTISSEMENT": "LOT", "MONTÉE": "MONTEE MTE", "NUMBER": "NUMERO NUMÉRO N° Nº", "QUAI": "QU",
    "ROND-POINT": "RPT", "ROUTE": "RTE", "RUE": "R", "RÉSIDENCE": "RES RESIDENCE", "TRAVERSE": "TRA",
}  # fmt: skip

_ITALY = {
    "CONTRADA": "CDA C/DA", "CORSO": "CSO", "FRAZIONE": "FRAZ", "LARGO": "LGO", "LOCALITÀ": "LOC LOCALITA",
    "NUMBER": "NUMERO N° Nº", "PIAZZA": "PZA PZZA", "PIAZZALE": "PLE PZLE", "STRADA": "STR", "VIALE": "VLE",
    "VICOLO": "VIC",
}  # fmt: skip

_SPAIN = {
    "AVENIDA": "AV AVD AVDA", "CALLE": "C/ CL", "CALLEJÓN": "CALLEJON CJON", "CAMINO": "CMNO CNO",
    "CARRETERA": "CRTA CTRA", "GLORIETA": "GTA", "NUMBER": "NUMERO NÚM NÚMERO N° Nº", "PASAJE": "PJE PSJE",
    "PASEO": "PSO Pº", "PLAZA": "PL PLAZA PLZ PLZA PZA", "POLÍGONO": "POL POLIGONO", "RONDA": "RDA",
    "TRAVESÍA": "TRAVESIA TRV TRVA", "URBANIZACIÓN": "URB URBANIZACION",
}  # fmt: skip

_ADDRESS_TABLES: Mapping[str, tuple[Mapping[str, str], ...]] = {
    "US": (_US_ROADS, _US_SITES, _US_UNITS, _US_LANDSCAPE),
    "CA": (_CANADA,),
    "GB": (_BRITAIN,),
    "DE": (_GERMANY,),
    "FR": (_FRANCE,),
    "IT": (_ITALY,),
    "ES": (_SPAIN,),
    "IN": (),
    "JP": (),
}

# Names are without accents: the rule deletes accented letters, so Amazon does not know Québec and makes it QU. Names
# that Amazon cuts to two letters are left out whatever ISO says: hyphenated German states and the regions of France,
# Italy and Spain. Italy and Spain are by province. LU for Languedoc-Roussillon is Amazon's, not ISO's.
_STATES: Mapping[str, Mapping[str, str]] = {
    "US": {
        "AL": "Alabama", "AK": "Alaska", "AZ": "Arizona", "AR": "Arkansas", "CA": "California", "CO": "Colorado",
        "CT": "Connecticut", "DE": "Delaware", "DC": "District of Columbia", "FL": "Florida", "GA": "Georgia",
        "HI": "Hawaii", "ID": "Idaho", "IL": "Illinois", "IN": "Indiana", "IA": "Iowa", "KS": "Kansas",
        "KY": "Kentucky", "LA": "Louisiana", "ME": "Maine", "MD": "Maryland", "MA": "Massachusetts", "MI": "Michigan",
        "MN": "Minnesota", "MS": "Mississippi", "MO": "Missouri", "MT": "Montana", "NE": "Nebraska", "NV": "Nevada",
        "NH": "New Hampshire", "NJ": "New Jersey", "NM": "New Mexico", "NY": "New York", "NC": "North Carolina",
        "ND": "North Dakota", "OH": "Ohio", "OK": "Oklahoma", "OR": "Oregon", "PA": "Pennsylvania",
        "RI": "Rhode Island", "SC": "South Carolina", "SD": "South Dakota", "TN": "Tennessee", "TX": "Texas",
        "UT": "Utah", "VT": "Vermont", "VA": "Virginia", "WA": "Washington", "WV": "West Virginia", "WI": "Wisconsin",
        "WY": "Wyoming", "AS": "American Samoa", "GU": "Guam", "MP": "Northern Mariana Islands", "PR": "Puerto Rico",
        "VI": "Virgin Islands|US Virgin Islands", "FM": "Federated States of Micronesia|Micronesia",
        "MH": "Marshall Islands", "PW": "Palau", "AA": "Armed Forces Americas", "AE": "Armed Forces Europe",
        "AP": "Armed Forces Pacific",
    },
    "CA": {
        "AB": "Alberta", "BC": "British Columbia", "MB": "Manitoba", "NB": "New Brunswick",
        "NL": "Newfoundland and Labrador|Newfoundland", "NS": "Nova Scotia", "NT": "Northwest Territories",
        "NU": "Nunavut", "ON": "Ontario", "PE": "Prince Edward Island", "QC": "Quebec", "SK": "Saskatchewan",
        "YT": "Yukon|Yukon Territory",
    },
    "DE": {
        "BB": "Brandenburg", "BE": "Berlin", "BY": "Bayern|Bavaria", "HB": "Bremen", "HE": "Hessen|Hesse",
        "HH": "Hamburg", "NI": "Niedersachsen|Lower Saxony", "SL": "Saarland", "SN": "Sachsen|Saxony",
        "TH": "Thueringen|Thuringen|Thuringia",
    },
    "FR": {
        "GF": "Guyane|French Guiana", "GP": "Guadeloupe", "LU": "Languedoc-Roussillon", "MQ": "Martinique",
        "RE": "Reunion|La Reunion", "YT": "Mayotte",
    },
    "IT": {
        "AG": "Agrigento", "AL": "Alessandria", "AN": "Ancona", "AO": "Aosta", "AP": "Ascoli Piceno", "AQ": "L'Aquila",
        "AR": "Arezzo", "AT": "Asti", "AV": "Avellino", "BA": "Bari", "BG": "Bergamo", "BI": "Biella", "BL": "Belluno",
        "BN": "Benevento", "BO": "Bologna", "BR": "Brindisi", "BS": "Brescia", "BT": "Barletta-Andria-Trani",
        "BZ": "Bolzano", "CA": "Cagliari", "CB": "Campobasso", "CE": "Caserta", "CH": "Chieti", "CL": "Caltanissetta",
        "CN": "Cuneo", "CO": "Como", "CR": "Cremona", "CS": "Cosenza", "CT": "Catania", "CZ": "Catanzaro",
        "EN": "Enna", "FC": "Forli-Cesena", "FE": "Ferrara", "FG": "Foggia", "FI": "Firenze|Florence", "FM": "Fermo",
        "FR": "Frosinone", "GE": "Genova|Genoa", "GO": "Gorizia", "GR": "Grosseto", "IM": "Imperia", "IS": "Isernia",
        "KR": "Crotone", "LC": "Lecco", "LE": "Lecce", "LI": "Livorno", "LO": "Lodi", "LT": "Latina", "LU": "Lucca",
        "MB": "Monza e Brianza|Monza e della Brianza", "MC": "Macerata", "ME": "Messina", "MI": "Milano|Milan",
        "MN": "Mantova", "MO": "Modena", "MS": "Massa-Carrara", "MT": "Matera", "NA": "Napoli|Naples", "NO": "Novara",
        "NU": "Nuoro", "OR": "Oristano", "PA": "Palermo", "PC": "Piacenza", "PD": "Padova|Padua", "PE": "Pescara",
        "PG": "Perugia", "PI": "Pisa", "PN": "Pordenone", "PO": "Prato", "PR": "Parma", "PT": "Pistoia",
        "PU": "Pesaro e Urbino", "PV": "Pavia", "PZ": "Potenza", "RA": "Ravenna",
        "RC": "Reggio Calabria|Reggio di Calabria", "RE": "Reggio Emilia|Reggio nell'Emilia", "RG": "Ragusa",
        "RI": "Rieti", "RM": "Roma|Rome", "RN": "Rimini", "RO": "Rovigo", "SA": "Salerno", "SI": "Siena",
        "SO": "Sondrio", "SP": "La Spezia", "SR": "Siracusa|Syracuse", "SS": "Sassari", "SU": "Sud Sardegna",
        "SV": "Savona", "TA": "Taranto", "TE": "Teramo", "TN": "Trento", "TO": "Torino|Turin", "TP": "Trapani",
        "TR": "Terni", "TS": "Trieste", "TV": "Treviso", "UD": "Udine", "VA": "Varese", "VB": "Verbano-Cusio-Ossola",
        "VC": "Vercelli", "VE": "Venezia|Venice", "VI": "Vicenza", "VR": "Verona", "VV": "Vibo Valentia",
    },
    "ES": {
        "A": "Alicante|Alacant", "AB": "Albacete", "AL": "Almeria", "AV": "Avila", "B": "Barcelona", "BA": "Badajoz",
        "BI": "Bizkaia|Vizcaya", "BU": "Burgos", "C": "A Coruna|La Coruna", "CA": "Cadiz", "CC": "Caceres",
        "CE": "Ceuta", "CO": "Cordoba", "CR": "Ciudad Real", "CS": "Castellon|Castello", "CU": "Cuenca",
        "GC": "Las Palmas", "GI": "Girona|Gerona", "GR": "Granada", "GU": "Guadalajara", "H": "Huelva",
        "HU": "Huesca", "J": "Jaen", "L": "Lleida|Lerida", "LE": "Leon", "LO": "La Rioja", "LU": "Lugo", "M": "Madrid",
        "MA": "Malaga", "ML": "Melilla", "MU": "Murcia", "NA": "Navarra|Nafarroa", "O": "Asturias",
        "OR": "Ourense|Orense", "P": "Palencia", "PM": "Illes Balears|Islas Baleares|Baleares", "PO": "Pontevedra",
        "S": "Cantabria", "SA": "Salamanca", "SE": "Sevilla|Seville", "SG": "Segovia", "SO": "Soria",
        "SS": "Gipuzkoa|Guipuzcoa", "T": "Tarragona", "TE": "Teruel", "TF": "Santa Cruz de Tenerife|Tenerife",
        "TO": "Toledo", "V": "Valencia", "VA": "Valladolid", "VI": "Araba|Alava", "Z": "Zaragoza", "ZA": "Zamora",
    },
}  # fmt: skip

ADDRESS_COUNTRIES = frozenset(_ADDRESS_TABLES)


@cache
def address_words(country: str) -> Mapping[str, str]:
    """Upper-case word to the form it is hashed in, for one of ``ADDRESS_COUNTRIES``."""
    tables = (_NUMBER, _DIRECTIONS, _EVERYWHERE, *_ADDRESS_TABLES[country])
    return {word: form for table in tables for form, words in table.items() for word in words.split()}


@cache
def state_codes(country: str) -> Mapping[str, str]:
    """State, province or region name, upper-case A to Z only, to its code; empty for countries without a table."""
    states = _STATES.get(country, {})
    return {re.sub("[^A-Z]", "", name.upper()): code for code, names in states.items() for name in names.split("|")}
