"""Types that hold a conversation over a stream: ports, certificates, mail servers."""
