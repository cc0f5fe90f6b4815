/* Countries as directories and HR systems write them: ISO 3166-1 codes of two and three letters, English names, and names of their own. */
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "lib/country.h"
#include "lib/fold.h"
#include "lib/mem.h"
#include "lib/text.h"

struct country {
    const char *code;
    const char *names; /* separated by | */
};

/* clang-format off */
static const struct country countries[] = {
    {"AD", "AND|Andorra"},
    {"AE", "ARE|United Arab Emirates|UAE|U.A.E."},
    {"AF", "AFG|Afghanistan"},
    {"AG", "ATG|Antigua & Barbuda|Antigua and Barbuda"},
    {"AI", "AIA|Anguilla"},
    {"AL", "ALB|Albania"},
    {"AM", "ARM|Armenia"},
    {"AO", "AGO|Angola"},
    {"AQ", "ATA|Antarctica"},
    {"AR", "ARG|Argentina"},
    {"AS", "ASM|Samoa (American)|American Samoa"},
    {"AT", "AUT|Austria|Österreich"},
    {"AU", "AUS|Australia"},
    {"AW", "ABW|Aruba"},
    {"AX", "ALA|Åland Islands|Aland Islands"},
    {"AZ", "AZE|Azerbaijan"},
    {"BA", "BIH|Bosnia & Herzegovina|Bosnia and Herzegovina"},
    {"BB", "BRB|Barbados"},
    {"BD", "BGD|Bangladesh"},
    {"BE", "BEL|Belgium|België|Belgique"},
    {"BF", "BFA|Burkina Faso"},
    {"BG", "BGR|Bulgaria"},
    {"BH", "BHR|Bahrain"},
    {"BI", "BDI|Burundi"},
    {"BJ", "BEN|Benin"},
    {"BL", "BLM|St Barthelemy|Saint Barthélemy"},
    {"BM", "BMU|Bermuda"},
    {"BN", "BRN|Brunei|Brunei Darussalam"},
    {"BO", "BOL|Bolivia|Bolivia, Plurinational State of"},
    {"BQ", "BES|Caribbean NL|Bonaire, Sint Eustatius and Saba|Caribbean Netherlands"},
    {"BR", "BRA|Brazil|Brasil"},
    {"BS", "BHS|Bahamas|The Bahamas"},
    {"BT", "BTN|Bhutan"},
    {"BV", "BVT|Bouvet Island"},
    {"BW", "BWA|Botswana"},
    {"BY", "BLR|Belarus"},
    {"BZ", "BLZ|Belize"},
    {"CA", "CAN|Canada"},
    {"CC", "CCK|Cocos (Keeling) Islands"},
    {"CD", "COD|Congo (Dem. Rep.)|Congo (Kinshasa)|Democratic Republic of the Congo|Congo, Democratic Republic of the|Congo, the Democratic Republic of the|DR Congo"},
    {"CF", "CAF|Central African Rep."},
    {"CG", "COG|Congo (Rep.)|Congo (Brazzaville)|Republic of the Congo|Congo"},
    {"CH", "CHE|Switzerland|Schweiz|Suisse|Svizzera"},
    {"CI", "CIV|Côte d'Ivoire|Cote d'Ivoire|Ivory Coast"},
    {"CK", "COK|Cook Islands"},
    {"CL", "CHL|Chile"},
    {"CM", "CMR|Cameroon"},
    {"CN", "CHN|China|People's Republic of China|China, mainland|Mainland China"},
    {"CO", "COL|Colombia"},
    {"CR", "CRI|Costa Rica"},
    {"CU", "CUB|Cuba"},
    {"CV", "CPV|Cape Verde|Cabo Verde"},
    {"CW", "CUW|Curaçao"},
    {"CX", "CXR|Christmas Island"},
    {"CY", "CYP|Cyprus"},
    {"CZ", "CZE|Czech Republic|Czechia|Česko"},
    {"DE", "DEU|Germany|Deutschland"},
    {"DJ", "DJI|Djibouti"},
    {"DK", "DNK|Denmark|Danmark"},
    {"DM", "DMA|Dominica"},
    {"DO", "DOM|Dominican Republic"},
    {"DZ", "DZA|Algeria"},
    {"EC", "ECU|Ecuador"},
    {"EE", "EST|Estonia"},
    {"EG", "EGY|Egypt"},
    {"EH", "ESH|Western Sahara"},
    {"ER", "ERI|Eritrea"},
    {"ES", "ESP|Spain|España"},
    {"ET", "ETH|Ethiopia"},
    {"FI", "FIN|Finland|Suomi"},
    {"FJ", "FJI|Fiji"},
    {"FK", "FLK|Falkland Islands|Falkland Islands (Malvinas)"},
    {"FM", "FSM|Micronesia|Micronesia, Federated States of"},
    {"FO", "FRO|Faroe Islands"},
    {"FR", "FRA|France"},
    {"GA", "GAB|Gabon"},
    {"GB", "GBR|United Kingdom|United Kingdom of Great Britain and Northern Ireland|Great Britain|Britain|UK|U.K.|England|Scotland|Wales|Northern Ireland"},
    {"GD", "GRD|Grenada"},
    {"GE", "GEO|Georgia"},
    {"GF", "GUF|French Guiana"},
    {"GG", "GGY|Guernsey"},
    {"GH", "GHA|Ghana"},
    {"GI", "GIB|Gibraltar"},
    {"GL", "GRL|Greenland"},
    {"GM", "GMB|Gambia|The Gambia"},
    {"GN", "GIN|Guinea"},
    {"GP", "GLP|Guadeloupe"},
    {"GQ", "GNQ|Equatorial Guinea"},
    {"GR", "GRC|Greece"},
    {"GS", "SGS|South Georgia & the South Sandwich Islands|South Georgia and the South Sandwich Islands"},
    {"GT", "GTM|Guatemala"},
    {"GU", "GUM|Guam"},
    {"GW", "GNB|Guinea-Bissau"},
    {"GY", "GUY|Guyana"},
    {"HK", "HKG|Hong Kong|Hong Kong SAR|Hong Kong SAR China"},
    {"HM", "HMD|Heard Island & McDonald Islands|Heard Island and McDonald Islands"},
    {"HN", "HND|Honduras"},
    {"HR", "HRV|Croatia"},
    {"HT", "HTI|Haiti"},
    {"HU", "HUN|Hungary"},
    {"ID", "IDN|Indonesia"},
    {"IE", "IRL|Ireland|Éire|Republic of Ireland"},
    {"IL", "ISR|Israel"},
    {"IM", "IMN|Isle of Man"},
    {"IN", "IND|India"},
    {"IO", "IOT|British Indian Ocean Territory"},
    {"IQ", "IRQ|Iraq"},
    {"IR", "IRN|Iran|Iran, Islamic Republic of"},
    {"IS", "ISL|Iceland"},
    {"IT", "ITA|Italy|Italia"},
    {"JE", "JEY|Jersey"},
    {"JM", "JAM|Jamaica"},
    {"JO", "JOR|Jordan"},
    {"JP", "JPN|Japan|日本"},
    {"KE", "KEN|Kenya"},
    {"KG", "KGZ|Kyrgyzstan"},
    {"KH", "KHM|Cambodia"},
    {"KI", "KIR|Kiribati"},
    {"KM", "COM|Comoros"},
    {"KN", "KNA|St Kitts & Nevis|Saint Kitts and Nevis"},
    {"KP", "PRK|North Korea|Korea, North|Democratic People's Republic of Korea|Korea, Democratic People's Republic of"},
    {"KR", "KOR|South Korea|Korea, South|Republic of Korea|Korea, Republic of|Korea"},
    {"KW", "KWT|Kuwait"},
    {"KY", "CYM|Cayman Islands"},
    {"KZ", "KAZ|Kazakhstan"},
    {"LA", "LAO|Laos|Lao People's Democratic Republic"},
    {"LB", "LBN|Lebanon"},
    {"LC", "LCA|St Lucia|Saint Lucia"},
    {"LI", "LIE|Liechtenstein"},
    {"LK", "LKA|Sri Lanka"},
    {"LR", "LBR|Liberia"},
    {"LS", "LSO|Lesotho"},
    {"LT", "LTU|Lithuania"},
    {"LU", "LUX|Luxembourg"},
    {"LV", "LVA|Latvia"},
    {"LY", "LBY|Libya"},
    {"MA", "MAR|Morocco"},
    {"MC", "MCO|Monaco"},
    {"MD", "MDA|Moldova|Moldova, Republic of|Republic of Moldova"},
    {"ME", "MNE|Montenegro"},
    {"MF", "MAF|St Martin (French)|Saint Martin"},
    {"MG", "MDG|Madagascar"},
    {"MH", "MHL|Marshall Islands"},
    {"MK", "MKD|North Macedonia|Macedonia"},
    {"ML", "MLI|Mali"},
    {"MM", "MMR|Myanmar (Burma)|Myanmar|Burma"},
    {"MN", "MNG|Mongolia"},
    {"MO", "MAC|Macau|Macao|Macao SAR China"},
    {"MP", "MNP|Northern Mariana Islands"},
    {"MQ", "MTQ|Martinique"},
    {"MR", "MRT|Mauritania"},
    {"MS", "MSR|Montserrat"},
    {"MT", "MLT|Malta"},
    {"MU", "MUS|Mauritius"},
    {"MV", "MDV|Maldives"},
    {"MW", "MWI|Malawi"},
    {"MX", "MEX|Mexico|México"},
    {"MY", "MYS|Malaysia"},
    {"MZ", "MOZ|Mozambique"},
    {"NA", "NAM|Namibia"},
    {"NC", "NCL|New Caledonia"},
    {"NE", "NER|Niger"},
    {"NF", "NFK|Norfolk Island"},
    {"NG", "NGA|Nigeria"},
    {"NI", "NIC|Nicaragua"},
    {"NL", "NLD|Netherlands|The Netherlands|Holland|Nederland"},
    {"NO", "NOR|Norway|Norge"},
    {"NP", "NPL|Nepal"},
    {"NR", "NRU|Nauru"},
    {"NU", "NIU|Niue"},
    {"NZ", "NZL|New Zealand|Aotearoa"},
    {"OM", "OMN|Oman"},
    {"PA", "PAN|Panama"},
    {"PE", "PER|Peru"},
    {"PF", "PYF|French Polynesia"},
    {"PG", "PNG|Papua New Guinea"},
    {"PH", "PHL|Philippines|The Philippines"},
    {"PK", "PAK|Pakistan"},
    {"PL", "POL|Poland|Polska"},
    {"PM", "SPM|St Pierre & Miquelon|Saint Pierre and Miquelon"},
    {"PN", "PCN|Pitcairn"},
    {"PR", "PRI|Puerto Rico"},
    {"PS", "PSE|Palestine|Palestine, State of|Palestinian Territory"},
    {"PT", "PRT|Portugal"},
    {"PW", "PLW|Palau"},
    {"PY", "PRY|Paraguay"},
    {"QA", "QAT|Qatar"},
    {"RE", "REU|Réunion"},
    {"RO", "ROU|Romania"},
    {"RS", "SRB|Serbia"},
    {"RU", "RUS|Russia|Russian Federation"},
    {"RW", "RWA|Rwanda"},
    {"SA", "SAU|Saudi Arabia"},
    {"SB", "SLB|Solomon Islands"},
    {"SC", "SYC|Seychelles"},
    {"SD", "SDN|Sudan"},
    {"SE", "SWE|Sweden|Sverige"},
    {"SG", "SGP|Singapore"},
    {"SH", "SHN|St Helena|Saint Helena|Saint Helena, Ascension and Tristan da Cunha"},
    {"SI", "SVN|Slovenia"},
    {"SJ", "SJM|Svalbard & Jan Mayen|Svalbard and Jan Mayen"},
    {"SK", "SVK|Slovakia|Slovak Republic"},
    {"SL", "SLE|Sierra Leone"},
    {"SM", "SMR|San Marino"},
    {"SN", "SEN|Senegal"},
    {"SO", "SOM|Somalia"},
    {"SR", "SUR|Suriname"},
    {"SS", "SSD|South Sudan"},
    {"ST", "STP|Sao Tome & Principe|Sao Tome and Principe|São Tomé and Príncipe"},
    {"SV", "SLV|El Salvador"},
    {"SX", "SXM|St Maarten (Dutch)|Sint Maarten"},
    {"SY", "SYR|Syria|Syrian Arab Republic"},
    {"SZ", "SWZ|Eswatini (Swaziland)|Eswatini|Swaziland"},
    {"TC", "TCA|Turks & Caicos Is|Turks and Caicos Islands"},
    {"TD", "TCD|Chad"},
    {"TF", "ATF|French S. Terr."},
    {"TG", "TGO|Togo"},
    {"TH", "THA|Thailand"},
    {"TJ", "TJK|Tajikistan"},
    {"TK", "TKL|Tokelau"},
    {"TL", "TLS|East Timor|Timor-Leste"},
    {"TM", "TKM|Turkmenistan"},
    {"TN", "TUN|Tunisia"},
    {"TO", "TON|Tonga"},
    {"TR", "TUR|Turkey|Türkiye|Turkiye"},
    {"TT", "TTO|Trinidad & Tobago|Trinidad and Tobago"},
    {"TV", "TUV|Tuvalu"},
    {"TW", "TWN|Taiwan|Taiwan, Province of China"},
    {"TZ", "TZA|Tanzania|Tanzania, United Republic of"},
    {"UA", "UKR|Ukraine"},
    {"UG", "UGA|Uganda"},
    {"UM", "UMI|US minor outlying islands|United States Minor Outlying Islands"},
    {"US", "USA|United States|United States of America|The United States|U.S.|U.S.A.|America"},
    {"UY", "URY|Uruguay"},
    {"UZ", "UZB|Uzbekistan"},
    {"VA", "VAT|Vatican City|Holy See|Holy See (Vatican City State)"},
    {"VC", "VCT|St Vincent|Saint Vincent and the Grenadines"},
    {"VE", "VEN|Venezuela|Venezuela, Bolivarian Republic of"},
    {"VG", "VGB|Virgin Islands (UK)|British Virgin Islands|Virgin Islands, British"},
    {"VI", "VIR|Virgin Islands (US)|U.S. Virgin Islands|Virgin Islands, U.S.|US Virgin Islands"},
    {"VN", "VNM|Vietnam|Viet Nam"},
    {"VU", "VUT|Vanuatu"},
    {"WF", "WLF|Wallis & Futuna|Wallis and Futuna"},
    {"WS", "WSM|Samoa (western)|Samoa"},
    {"YE", "YEM|Yemen"},
    {"YT", "MYT|Mayotte"},
    {"ZA", "ZAF|South Africa"},
    {"ZM", "ZMB|Zambia"},
    {"ZW", "ZWE|Zimbabwe"},
};
/* clang-format on */

static bool is_one_of(const char *text, const char *names)
{
    for (const char *name = names; *name; name += strcspn(name, "|"), name += *name == '|') {
        size_t len = strcspn(name, "|");
        if (strlen(text) == len && strncasecmp(text, name, len) == 0) {
            return true;
        }
    }
    return false;
}

/* The names have their letters in NFC; a text beyond ASCII is compared in lower case and NFC. */
static bool is_one_of_folded(const char *folded, const char *names)
{
    char *all = fold_text(names);
    bool found = is_one_of(folded, all);
    free(all);
    return found;
}

static const char *code_of(const char *name)
{
    char *folded = text_is_ascii(name) ? NULL : fold_text(name);
    const char *code = NULL;
    for (size_t i = 0; !code && i < COUNT_OF(countries); i++) {
        const struct country *country = &countries[i];
        bool found = strcasecmp(name, country->code) == 0 ||
                     (folded ? is_one_of_folded(folded, country->names) : is_one_of(name, country->names));
        code = found ? country->code : NULL;
    }
    free(folded);
    return code;
}

const char *country_code(const char *text)
{
    const char *begin = text ? text + strspn(text, " \t") : "";
    size_t len = strlen(begin);
    while (len > 0 && strchr(" \t", begin[len - 1])) {
        len--;
    }
    char *name = mem_strndup(begin, len);
    const char *code = len ? code_of(name) : NULL;
    free(name);
    return code;
}
