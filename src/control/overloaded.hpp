#pragma once

namespace narrowlink::control {

/// A visitor of a variant, put together from one lambda per alternative.
template <class... Visitors>
struct Overloaded : Visitors... {
    using Visitors::operator()...;
};

template <class... Visitors>
Overloaded(Visitors...) -> Overloaded<Visitors...>;

} // namespace narrowlink::control
