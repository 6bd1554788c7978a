//! Which system package has what a Python package needs to be compiled.

/// A header, library or program, its Debian package and its RPM package.
const PACKAGES: [(&str, &str, &str); 44] = [
    ("Python.h", "python3-dev", "python3-devel"),
    ("alsa/asoundlib.h", "libasound2-dev", "alsa-lib-devel"),
    ("bzlib.h", "libbz2-dev", "bzip2-devel"),
    ("c++", "g++", "gcc-c++"),
    ("cairo.h", "libcairo2-dev", "cairo-devel"),
    ("cmake", "cmake", "cmake"),
    ("curl/curl.h", "libcurl4-openssl-dev", "libcurl-devel"),
    ("expat.h", "libexpat1-dev", "expat-devel"),
    ("ffi.h", "libffi-dev", "libffi-devel"),
    ("freetype2/ft2build.h", "libfreetype-dev", "freetype-devel"),
    ("ft2build.h", "libfreetype-dev", "freetype-devel"),
    ("gcc", "gcc", "gcc"),
    ("gdal.h", "libgdal-dev", "gdal-devel"),
    ("geos_c.h", "libgeos-dev", "geos-devel"),
    ("gfortran", "gfortran", "gcc-gfortran"),
    ("git", "git", "git"),
    ("gmp.h", "libgmp-dev", "gmp-devel"),
    ("gssapi/gssapi.h", "libkrb5-dev", "krb5-devel"),
    ("hdf5.h", "libhdf5-dev", "hdf5-devel"),
    ("jpeglib.h", "libjpeg-dev", "libjpeg-turbo-devel"),
    ("krb5.h", "libkrb5-dev", "krb5-devel"),
    ("lber.h", "libldap2-dev", "openldap-devel"),
    ("ldap.h", "libldap2-dev", "openldap-devel"),
    ("libpq-fe.h", "libpq-dev", "libpq-devel"),
    ("libxml/xmlversion.h", "libxml2-dev", "libxml2-devel"),
    ("libxml/xpath.h", "libxml2-dev", "libxml2-devel"),
    ("libxslt/xslt.h", "libxslt1-dev", "libxslt-devel"),
    ("lzma.h", "liblzma-dev", "xz-devel"),
    ("mpi.h", "libopenmpi-dev", "openmpi-devel"),
    (
        "mysql.h",
        "default-libmysqlclient-dev",
        "mariadb-connector-c-devel",
    ),
    (
        "mysql_config",
        "default-libmysqlclient-dev",
        "mariadb-connector-c-devel",
    ),
    ("openssl/ssl.h", "libssl-dev", "openssl-devel"),
    ("pg_config", "libpq-dev", "libpq-devel"),
    ("pkg-config", "pkg-config", "pkgconf-pkg-config"),
    ("portaudio.h", "portaudio19-dev", "portaudio-devel"),
    ("rustc", "rustc cargo", "rust cargo"),
    ("sasl/sasl.h", "libsasl2-dev", "cyrus-sasl-devel"),
    ("sndfile.h", "libsndfile1-dev", "libsndfile-devel"),
    ("sql.h", "unixodbc-dev", "unixODBC-devel"),
    ("sqlite3.h", "libsqlite3-dev", "sqlite-devel"),
    ("swig", "swig", "swig"),
    ("yaml.h", "libyaml-dev", "libyaml-devel"),
    ("zlib.h", "zlib1g-dev", "zlib-devel"),
    ("zmq.h", "libzmq3-dev", "zeromq-devel"),
];

/// The Debian and the RPM package that have it; `None` where that is not known.
pub(super) fn packages(what: &str) -> Option<(&'static str, &'static str)> {
    PACKAGES
        .binary_search_by_key(&what, |(name, _, _)| name)
        .ok()
        .map(|index| (PACKAGES[index].1, PACKAGES[index].2))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_sorted_so_that_everything_in_it_is_found() {
        for (name, debian, rpm) in PACKAGES {
            assert_eq!(packages(name), Some((debian, rpm)));
        }
        assert_eq!(packages("no-such.h"), None);
    }
}
