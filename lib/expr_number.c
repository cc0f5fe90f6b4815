#include "lib/expr_number.h"

#include <math.h>

#define EXACT_MAX 9007199254740992.0 /* 2^53 */

bool expr_number_exact(json_int_t number)
{
    return number >= -(json_int_t)EXACT_MAX && number <= (json_int_t)EXACT_MAX;
}

json_t *expr_number(double number)
{
    if (isfinite(number) && floor(number) == number && fabs(number) <= EXACT_MAX) {
        return json_integer((json_int_t)number);
    }
    return json_real(number);
}
