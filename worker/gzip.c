#include "worker/gzip.h"

#include <stdint.h>
#include <string.h>
#include <zlib.h>

enum { CHUNK = 16 * 1024, GZIP_ONLY = 16 + MAX_WBITS };

bool gzip_begins(const char *data, size_t len)
{
    return len >= 3 && memcmp(data, "\x1f\x8b\x08", 3) == 0;
}

/* Decodes one member; the stream then stands behind it. zlib's code. */
static int decode_member(z_stream *stream, struct buf *out)
{
    char chunk[CHUNK];
    int code;
    do {
        stream->next_out = (Bytef *)chunk;
        stream->avail_out = sizeof chunk;
        code = inflate(stream, Z_NO_FLUSH);
        if (buf_add(out, chunk, sizeof chunk - stream->avail_out) != 0) {
            return Z_MEM_ERROR;
        }
    } while (code == Z_OK && (stream->avail_in || !stream->avail_out));
    return code;
}

int gzip_decode(const char *data, size_t len, struct buf *out, struct err *err)
{
    z_stream stream = {.next_in = (Bytef *)(uintptr_t)data, .avail_in = (uInt)len};
    int code = inflateInit2(&stream, GZIP_ONLY);
    do {
        code = code == Z_OK ? decode_member(&stream, out) : code;
    } while (code == Z_STREAM_END && gzip_begins((const char *)stream.next_in, stream.avail_in) &&
             (code = inflateReset(&stream)) == Z_OK);
    inflateEnd(&stream);
    if (out->overflow) {
        return err_set(err, ERR_PERMANENT, "it is larger than %zu MiB when decoded", out->max / 1024 / 1024);
    }
    if (code != Z_STREAM_END) {
        return err_set(err, ERR_PERMANENT, "its gzip is %s",
                       code == Z_OK || code == Z_BUF_ERROR ? "cut off" : "damaged");
    }
    return 0;
}
