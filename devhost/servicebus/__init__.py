"""A Service Bus of queues for one machine: AMQP 1.0 on a loopback port, kept in SQLite."""
