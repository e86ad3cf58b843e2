"""What nanotick measures about itself, and beside its peers; run by ``nanotick bench``."""
