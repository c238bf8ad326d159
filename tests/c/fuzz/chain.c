/* chain - a chain as a client sends it, and a trust file.
 *
 * Input: an octet of options; then certificates: an octet that says what it is for, its length in
 * two octets, DER.  With RESIGN they get new keys, and are signed anew, each by the next and the
 * last of them by itself: otherwise each change would end in a wrong signature. */
#include "fuzz.h"

#include <openssl/err.h>

enum option { RESIGN = 1, LEVELS = 6, DEPTHS = 24 };
enum use { SENT, ANCHOR, ANCHOR_WITH_SETTINGS, USES };

#define MOST (2 * MOST_SENT)

typedef struct {
    octets der;
    enum use use;
    bool made; /* der is owned */
} item;

static EVP_PKEY *keys[MOST]; /* owned, until the end */

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc, (void)argv;
    must(ccert_init(), "begin");
    for (int i = 0; i < MOST; i++)
        must((keys[i] = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519")) != NULL, "make a key");
    return 0;
}

static int read_items(octets *input, item items[MOST])
{
    int count = 0, sent = 0;

    while (input->size > 0 && count < MOST) {
        item *one = &items[count];

        one->made = false;
        one->use = take_octet(input) % USES;
        one->der = take_block(input);
        sent += one->use == SENT;
        if (one->use == SENT && sent > MOST_SENT)
            break;
        count++;
    }
    return count;
}

static X509 *decode(const item *one)
{
    const unsigned char *at = one->der.data;

    return one->use == ANCHOR_WITH_SETTINGS ? d2i_X509_AUX(NULL, &at, (long)one->der.size)
                                            : d2i_X509(NULL, &at, (long)one->der.size);
}

static void encode(X509 *certificate, item *one)
{
    unsigned char *der = NULL;
    int size = one->use == ANCHOR_WITH_SETTINGS ? i2d_X509_AUX(certificate, &der)
                                                : i2d_X509(certificate, &der);

    if (size <= 0)
        return;
    one->der = (octets){der, (size_t)size};
    one->made = true;
}

static bool sign(X509 *certificate, EVP_PKEY *key, const X509 *issuer, EVP_PKEY *by)
{
    return X509_set_pubkey(certificate, key)
           && X509_set_issuer_name(certificate, X509_get_subject_name(issuer))
           && X509_sign(certificate, by, NULL) > 0;
}

/* resign - the chain goes on to the first anchor; whatever cannot be decoded stays as it is */
static void resign(item *items, int count)
{
    X509 *issuer = NULL;
    int links = 0, by = 0;

    while (links < count && items[links].use == SENT)
        links++;
    for (int i = links < count ? links : links - 1; i >= 0; i--) {
        X509 *certificate = decode(&items[i]);

        if (certificate != NULL
            && sign(certificate, keys[i], issuer == NULL ? certificate : issuer,
                    keys[issuer == NULL ? i : by])) {
            encode(certificate, &items[i]);
            X509_free(issuer);
            issuer = certificate;
            by = i;
        } else
            X509_free(certificate);
    }
    X509_free(issuer);
    ERR_clear_error();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const int depths[] = {9, 0, 1, 2};
    octets input = {data, size};
    unsigned int options = take_octet(&input);
    item items[MOST];
    int count = read_items(&input, items);
    chain c = {
        .count = 0, .level = (options & LEVELS) / 2, .depth = depths[(options & DEPTHS) / 8]};

    if ((options & RESIGN) != 0)
        resign(items, count);
    trust_file_begin();
    for (int i = 0; i < count; i++)
        if (items[i].use == SENT)
            c.sent[c.count++] = items[i].der;
        else
            trust_file_add(items[i].der, items[i].use == ANCHOR_WITH_SETTINGS);
    compare(&c);
    for (int i = 0; i < count; i++)
        if (items[i].made)
            OPENSSL_free((void *)(uintptr_t)items[i].der.data);
    return 0;
}
