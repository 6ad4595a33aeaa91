// Any text as a control message: what is accepted can be written and read again, unchanged.
#include "narrowlink/base/bytes.hpp"
#include "narrowlink/control/message.hpp"

#include <cstdlib>
#include <span>

using namespace narrowlink;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size)
{
    const auto message = control::parse(as_text(std::as_bytes(std::span{data, size})));
    if (!message)
        return 0;
    const std::string text = control::format(*message);
    if (text.size() > control::max_message_size)
        return 0; // an escape can be longer than the character it stands for
    const auto again = control::parse(text);
    if (!again || *again != *message)
        std::abort();
    return 0;
}
