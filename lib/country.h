/* Countries. */
#ifndef OFFBOARD_LIB_COUNTRY_H
#define OFFBOARD_LIB_COUNTRY_H

/* The ISO 3166-1 code of two letters, in upper case, of a country: "US" for "us", "USA", "United States" and "united states of america". NULL
 * when `text` is NULL or names no country that is known here. Static. */
const char *country_code(const char *text);

#endif
