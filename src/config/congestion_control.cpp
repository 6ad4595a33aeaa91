#include "narrowlink/config/congestion_control.hpp"

namespace narrowlink::config {

CongestionControl read_congestion_control(Section& root)
{
    return root.choice("congestion_control", CongestionControl::bbr,
                       {{"bbr", CongestionControl::bbr}, {"cubic", CongestionControl::cubic}});
}

} // namespace narrowlink::config
