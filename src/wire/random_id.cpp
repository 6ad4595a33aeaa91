#include "narrowlink/wire/random_id.hpp"

namespace narrowlink::wire {
namespace {

int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return -1;
}

} // namespace

bool parse_hex(std::string_view text, MutableBytes block)
{
    if (text.size() != 2 * block.size())
        return false;
    for (std::size_t i = 0; i < block.size(); ++i) {
        const int high = hex_digit(text[2 * i]);
        const int low = hex_digit(text[2 * i + 1]);
        if (high < 0 || low < 0)
            return false;
        block[i] = static_cast<std::byte>(high << 4 | low);
    }
    return true;
}

} // namespace narrowlink::wire
