#include "narrowlink/wire/ssdp.hpp"

#include <gtest/gtest.h>

namespace narrowlink::wire {
namespace {

const IpAddress router = *IpAddress::parse("192.168.1.1");

std::optional<std::string> answer(const std::string& location)
{
    return decode_ssdp_answer("HTTP/1.1 200 OK\r\nST: urn:x\r\n" + location + "\r\nEXT:\r\n\r\n",
                              router);
}

TEST(Ssdp, AsksOneRouterOnly)
{
    const std::string search = ssdp_search(router);
    EXPECT_TRUE(search.starts_with("M-SEARCH * HTTP/1.1\r\nHOST: 192.168.1.1:1900\r\n"));
    EXPECT_TRUE(search.ends_with("\r\n\r\n"));
}

TEST(Ssdp, ReadsWhereTheDescriptionIs)
{
    EXPECT_EQ(answer("LOCATION: http://192.168.1.1:5000/rootDesc.xml"),
              "http://192.168.1.1:5000/rootDesc.xml");
    EXPECT_EQ(answer("Location:http://192.168.1.1:80/"), "http://192.168.1.1:80/");
    EXPECT_EQ(answer("location: \t HTTP://192.168.1.1:1 "), "HTTP://192.168.1.1:1");
}

TEST(Ssdp, TakesNoUrlOfAnybodyElse)
{
    for (const char* url :
         {"http://192.168.1.2:5000/", "http://192.168.1.1.evil.example:80/", "http://192.168.1.1/",
          "http://192.168.1.1:80@evil.example/", "http://192.168.1.1:0/", "http://192.168.1.1:/",
          "http://192.168.1.1:99999/", "https://192.168.1.1:443/", "file:///etc/passwd", "",
          "http://192.168.1.1:80/a b", "http://192.168.1.1:80/\x01"})
        EXPECT_FALSE(answer(std::string{"LOCATION: "} + url)) << url;
    EXPECT_FALSE(answer("LOCATION: http://192.168.1.1:80/" + std::string(300, 'a')));
}

TEST(Ssdp, TakesOnlyAnswersForAnAnswer)
{
    EXPECT_FALSE(decode_ssdp_answer("", router));
    EXPECT_FALSE(
        decode_ssdp_answer("NOTIFY * HTTP/1.1\r\nLOCATION: http://192.168.1.1:80/\r\n", router));
    EXPECT_FALSE(
        decode_ssdp_answer("HTTP/1.1 404 No\r\nLOCATION: http://192.168.1.1:80/\r\n", router));
    EXPECT_FALSE(decode_ssdp_answer("HTTP/1.1 200 OK\r\n\r\n", router));
    EXPECT_EQ(decode_ssdp_answer("HTTP/1.1 200 OK\nLOCATION: http://192.168.1.1:80/", router),
              "http://192.168.1.1:80/");
}

} // namespace
} // namespace narrowlink::wire
