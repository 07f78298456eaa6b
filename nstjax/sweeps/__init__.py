"""Many runs that differ in what is compared, and their report."""
