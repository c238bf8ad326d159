/* input - cut an input into what a target needs. */
#include "fuzz.h"

octets take(octets *input, size_t size)
{
    octets taken = *input;

    if (taken.size > size)
        taken.size = size;
    input->data += taken.size;
    input->size -= taken.size;
    return taken;
}

unsigned int take_octet(octets *input)
{
    octets one = take(input, 1);

    return one.size == 0 ? 0 : *one.data;
}

octets take_block(octets *input)
{
    size_t high = take_octet(input);

    return take(input, high << 8 | take_octet(input));
}
