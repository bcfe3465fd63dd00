"""The names of months in the languages that exporters write, after the Unicode CLDR (``months``: ``format`` and
``stand-alone``, ``wide`` and ``abbreviated``), with spellings that are as common."""

import unicodedata
from collections.abc import Mapping
from functools import cache
from typing import Literal, get_args

Language = Literal["da", "de", "en", "es", "fr", "it", "nb", "nl", "pl", "pt", "sv", "tr"]
LANGUAGES: tuple[Language, ...] = get_args(Language)

_NAMES: Mapping[Language, str] = {
    "da": "jan januar,feb februar,mar marts,apr april,maj,jun juni,jul juli,aug august,sep september,okt oktober,"
    "nov november,dec december",
    "de": "jan januar jän jänner,feb februar feber,mär märz mrz maerz,apr april,mai,jun juni,jul juli,aug august,"
    "sep sept september,okt oktober,nov november,dez dezember",
    "en": "jan january,feb february,mar march,apr april,may,jun june,jul july,aug august,sep sept september,"
    "oct october,nov november,dec december",
    "es": "ene enero,feb febrero,mar marzo,abr abril,may mayo,jun junio,jul julio,ago agosto,"
    "sep sept septiembre set setiembre,oct octubre,nov noviembre,dic diciembre",
    "fr": "janv jan janvier,févr fév février,mars mar,avr avril,mai,juin,juil juillet,août aoû,sept sep septembre,"
    "oct octobre,nov novembre,déc décembre",
    "it": "gen gennaio,feb febbraio,mar marzo,apr aprile,mag maggio,giu giugno,lug luglio,ago agosto,"
    "set sett settembre,ott ottobre,nov novembre,dic dicembre",
    "nb": "jan januar,feb februar,mar mars,apr april,mai,jun juni,jul juli,aug august,sep sept september,okt oktober,"
    "nov november,des desember",
    "nl": "jan januari,feb februari,mrt maart,apr april,mei,jun juni,jul juli,aug augustus,sep sept september,"
    "okt oktober,nov november,dec december",
    "pl": "sty styczeń stycznia,lut luty lutego,mar marzec marca,kwi kwiecień kwietnia,maj maja,cze czerwiec czerwca,"
    "lip lipiec lipca,sie sierpień sierpnia,wrz wrzesień września,paź październik października,"
    "lis listopad listopada,gru grudzień grudnia",
    "pt": "jan janeiro,fev fevereiro,mar março,abr abril,mai maio,jun junho,jul julho,ago agosto,set setembro,"
    "out outubro,nov novembro,dez dezembro",
    "sv": "jan januari,feb februari,mar mars,apr april,maj,jun juni,jul juli,aug augusti,sep sept september,"
    "okt oktober,nov november,dec december",
    "tr": "oca ocak,şub şubat,mar mart,nis nisan,may mayıs,haz haziran,tem temmuz,ağu ağustos,eyl eylül,eki ekim,"
    "kas kasım,ara aralık",
}


@cache
def month_names(language: Language) -> Mapping[str, int]:
    """The number of the month for each name in lower case, also without its accents and shortened, without a dot."""
    months = enumerate(_NAMES[language].split(","), start=1)
    return {spelled: number for number, names in months for name in names.split() for spelled in (name, _plain(name))}


def _plain(name: str) -> str:
    parts = unicodedata.normalize("NFKD", name.replace("ı", "i"))
    return "".join(character for character in parts if not unicodedata.combining(character))
