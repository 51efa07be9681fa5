"""What both brokers promise: each test runs on the embedded broker and on RabbitMQ alike."""
