/* Prints CONFIGURATION.md. */
#include <stdio.h>

#include "lib/conf.h"

int main(void)
{
    struct buf text = BUF_INIT;
    conf_document(&text);
    fputs(buf_text(&text), stdout);
    buf_release(&text);
    return 0;
}
