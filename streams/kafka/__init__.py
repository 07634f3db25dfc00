"""What is done to Faust and aiokafka, and how Kafka is asked."""
