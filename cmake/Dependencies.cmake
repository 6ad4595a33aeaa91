# Every dependency is a binary package of the distribution; docs/dependencies.md says why each is here.
find_package(PkgConfig REQUIRED)
find_package(Threads REQUIRED)
find_package(OpenSSL 3.0 REQUIRED)
find_package(Boost 1.81 REQUIRED CONFIG) # not the FindBoost of older CMakes
find_package(yaml-cpp REQUIRED)
find_package(fmt REQUIRED)
find_package(spdlog REQUIRED)
find_package(CLI11 REQUIRED)
pkg_check_modules(MINIUPNPC REQUIRED IMPORTED_TARGET miniupnpc>=2.2)
pkg_check_modules(NGHTTP3 REQUIRED IMPORTED_TARGET libnghttp3>=1.8)

# libnatpmp comes without a pkg-config file.
find_path(NATPMP_INCLUDE natpmp.h REQUIRED)
find_library(NATPMP_LIBRARY natpmp REQUIRED)
mark_as_advanced(NATPMP_INCLUDE NATPMP_LIBRARY)
add_library(natpmp INTERFACE IMPORTED)
target_include_directories(natpmp INTERFACE ${NATPMP_INCLUDE})
target_link_libraries(natpmp INTERFACE ${NATPMP_LIBRARY})

# QUIC's TLS: which library, and thereby which source file of src/quic.
set(NARROWLINK_QUIC_TLS auto CACHE STRING "TLS library of QUIC: openssl, gnutls, or auto for the first there is")
set_property(CACHE NARROWLINK_QUIC_TLS PROPERTY STRINGS auto gnutls openssl)
set(quic_tls ${NARROWLINK_QUIC_TLS})
if(quic_tls STREQUAL "auto")
  pkg_check_modules(NGTCP2_OSSL QUIET libngtcp2_crypto_ossl>=1.22 openssl>=3.5)
  if(NGTCP2_OSSL_FOUND)
    set(quic_tls openssl)
  else()
    set(quic_tls gnutls)
  endif()
endif()
if(quic_tls STREQUAL "openssl")
  pkg_check_modules(NGTCP2 REQUIRED IMPORTED_TARGET
                    libngtcp2>=1.22 libngtcp2_crypto_ossl>=1.22 openssl>=3.5)
  set(unused_quic_tls gnutls)
elseif(quic_tls STREQUAL "gnutls")
  pkg_check_modules(NGTCP2 REQUIRED IMPORTED_TARGET
                    libngtcp2>=1.11 libngtcp2_crypto_gnutls>=1.11 gnutls>=3.7)
  set(unused_quic_tls openssl)
else()
  message(FATAL_ERROR "NARROWLINK_QUIC_TLS is '${quic_tls}'; it must be auto, gnutls or openssl")
endif()
message(STATUS "TLS of QUIC: ${quic_tls}, with ngtcp2 ${NGTCP2_libngtcp2_VERSION}")

# Boost.JSON, Asio and Beast are used without their binary packages: each is compiled once, here.
add_library(boost_json STATIC cmake/boost_json.cpp)
target_link_libraries(boost_json PUBLIC Boost::headers)

add_library(boost_asio STATIC cmake/boost_asio.cpp)
target_compile_definitions(boost_asio PUBLIC
  BOOST_ASIO_SEPARATE_COMPILATION BOOST_BEAST_SEPARATE_COMPILATION BOOST_ASIO_NO_DEPRECATED)
target_link_libraries(boost_asio PUBLIC Boost::headers OpenSSL::SSL Threads::Threads)
# Beast masks every byte from a node (RFC 6455 §5.3); only -O3 vectorises that loop.
set_source_files_properties(cmake/boost_asio.cpp PROPERTIES COMPILE_OPTIONS "$<$<CONFIG:Release>:-O3>")

foreach(library boost_json boost_asio)
  if(NARROWLINK_SANITIZE)
    target_compile_options(${library} PUBLIC -fsanitize=${NARROWLINK_SANITIZE})
  endif()
endforeach()
