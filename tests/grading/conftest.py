from tests.exercises.fresh_kernel import fresh_kernel  # noqa: F401 - a fixture for every test here
