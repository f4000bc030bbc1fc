"""The runtime on a real Apache Kafka: each test shows one clause of what it guarantees."""
