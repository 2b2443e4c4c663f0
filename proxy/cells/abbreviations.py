"""Time zone abbreviations that PostgreSQL knows whatever the session's time zone is.

The facts of src/timezone/tznames/Default, the file behind the default of timezone_abbreviations; a server set to
Australia or India reads a few of them differently. Offsets are seconds east of Greenwich. Some abbreviations
have meant different offsets at different times: those name the zone that tells.
"""

from __future__ import annotations

_STANDARD = """
-36000 hst,taht  -34200 mart  -32400 akst,gamt  -28800 pst  -25200 mst  -21600 cst,galt
-18000 act,cot,est,pet  -14400 amt,ast,bot  -12600 nft,nst  -10800 bra,brt,gft,pmst,uyt,wgt
-7200 fnt  -3600 azot,egt  0 gmt,uct,ut,utc,wet,z,zulu  3600 cet,met,mez,wat
7200 eet,ist,sast  10800 eat,fet  12600 irt  14400 mut,ret,sct  16200 aft
18000 mvt,pkt,tft,tjt,uzt  20700 npt  21600 almt,bdt,btt,xjt  23400 mmt  25200 cxt,ict,wast
28800 awst,bnt,bort,cct,hkt,myt,pht  31500 acwst  32400 jayt,jst,kst,pwt  34200 acst,cast
36000 aest,chut,ddut,ligt,mpt,pgt,trut,yapt  37800 lhst  39600 pont,vut
43200 fjt,gilt,mht,nzst,nzt,tvt,wakt,wft  45900 chast  46800 tot
"""
_DAYLIGHT = """
-28800 akdt  -25200 pdt  -21600 mdt  -18000 cdt  -14400 edt  -10800 adt,clst,pyst  -9000 ndt
-7200 brst,pmdt,uyst,wgst  -3600 fnst  0 azost,egst  3600 bst,wetdst
7200 bdst,cest,cetdst,mest,mesz,metdst  10800 eest,eetdst,idt  14400 msd  18000 must
21600 kgst,pkst,uzst,yekst  25200 almst  28800 wadt  32400 awsst,ulast,wdt  36000 kdt
37800 acdt,acsst,cadt,sadt  39600 aedt,aesst  46800 fjst,nzdt  49500 chadt
"""
_BY_ZONE = """
amst Asia/Yerevan  anast Asia/Anadyr  anat Asia/Anadyr  arst America/Argentina/Buenos_Aires
art America/Argentina/Buenos_Aires  azst Asia/Baku  azt Asia/Baku  ckt Pacific/Rarotonga
clt America/Santiago  davt Antarctica/Davis  easst Pacific/Easter  east Pacific/Easter
fkst Atlantic/Stanley  fkt Atlantic/Stanley  gest Asia/Tbilisi  get Asia/Tbilisi
gyt America/Guyana  iot Indian/Chagos  irkst Asia/Irkutsk  irkt Asia/Irkutsk
kgt Asia/Bishkek  kost Pacific/Kosrae  krast Asia/Krasnoyarsk  krat Asia/Krasnoyarsk
lhdt Australia/Lord_Howe  lint Pacific/Kiritimati  lkt Asia/Colombo  magst Asia/Magadan
magt Asia/Magadan  mawt Antarctica/Mawson  msk Europe/Moscow  novst Asia/Novosibirsk
novt Asia/Novosibirsk  nut Pacific/Niue  omsst Asia/Omsk  omst Asia/Omsk
petst Asia/Kamchatka  pett Asia/Kamchatka  pyt America/Asuncion  sgt Asia/Singapore
tkt Pacific/Fakaofo  tmt Asia/Ashgabat  ulat Asia/Ulaanbaatar  vet America/Caracas
vlast Asia/Vladivostok  vlat Asia/Vladivostok  volt Europe/Volgograd  yakst Asia/Yakutsk
yakt Asia/Yakutsk  yekt Asia/Yekaterinburg
"""


def _pairs(table: str) -> list[tuple[str, str]]:
    words = table.split()
    return list(zip(words[::2], words[1::2], strict=True))


FIXED: dict[str, tuple[int, bool]] = {
    name: (int(offset), daylight)
    for table, daylight in ((_STANDARD, False), (_DAYLIGHT, True))
    for offset, names in _pairs(table)
    for name in names.split(",")
}
"""Lower-case abbreviation to (offset, whether it is daylight-saving time)."""

BY_ZONE: dict[str, str] = dict(_pairs(_BY_ZONE))
"""Lower-case abbreviation to the zone whose history gives its offset."""
