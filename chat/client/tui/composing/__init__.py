"""What a composer is made of, each part for itself: keys, messages, offers, editing."""
