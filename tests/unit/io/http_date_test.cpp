#include "web_failure.hpp"

#include <gtest/gtest.h>

namespace narrowlink::io {

TEST(HttpDate, IsReadInTheFormThatIsNotObsolete)
{
    using std::chrono::seconds;
    // The example of RFC 9110 §5.6.7.
    EXPECT_EQ(parse_http_date("Sun, 06 Nov 1994 08:49:37 GMT"), UnixTime{seconds{784'111'777}});
    for (const char* text : {"", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994",
                             "Sun, 06 Nov 1994 08:49:37 GMT.", "Sun, 06 Nov 1994 08:49:37",
                             "Sun, 40 Nov 1994 08:49:37 GMT", "1994-11-06T08:49:37Z"})
        EXPECT_FALSE(parse_http_date(text)) << text;
}

} // namespace narrowlink::io
